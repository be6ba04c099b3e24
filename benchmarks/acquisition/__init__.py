"""Acquisition: methods, allocations, budgets and hard sets compared."""
