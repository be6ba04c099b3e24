"""A scenario as it is to be run."""
