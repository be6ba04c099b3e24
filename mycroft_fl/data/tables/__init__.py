"""Tables: files read, columns described and fitted, rows as numbers."""
