"""An example as a vector: what the matching methods compare."""
