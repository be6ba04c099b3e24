"""A real task rehearsed over owners' files, all on one machine."""
