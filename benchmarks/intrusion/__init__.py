"""Network intrusions: a table with many owners."""
