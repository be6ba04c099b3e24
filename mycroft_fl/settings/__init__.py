"""Settings: what a run may be told, and how TOML files are read."""
