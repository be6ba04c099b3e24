"""Attacks on what leaves an owner, by somebody who tries: each beside the most that is possible."""
