"""The settings of a run, and the reader of TOML files."""
