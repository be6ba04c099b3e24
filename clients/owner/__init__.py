"""An owner's file: made, read, checked, opened."""
