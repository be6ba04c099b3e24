"""How relevant a record is to a hard set, one record at a time."""
