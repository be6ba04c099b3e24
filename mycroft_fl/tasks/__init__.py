"""A trainer's task: its own file, and the description that owners get."""
