"""Attacks on real processes of this machine: what `make attack` runs, and what each may not get."""
