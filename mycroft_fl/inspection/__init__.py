"""A look at data before a run: what a file holds, what is amiss, and what to set for it."""
