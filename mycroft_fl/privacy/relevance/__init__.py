"""The relevance of records to a hard set, one record at a time."""
