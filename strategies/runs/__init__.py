"""A run on disk: its folder, its checkpoints, how it is resumed, what is published."""
