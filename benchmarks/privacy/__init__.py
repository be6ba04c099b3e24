"""Privacy against utility, and attacks on what leaves."""
