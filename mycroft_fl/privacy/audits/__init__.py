"""Audits: what many runs of a mechanism show, and bugs that they must catch."""
