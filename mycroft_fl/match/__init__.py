"""Candidates for targets: which examples explain what a model gets wrong."""
