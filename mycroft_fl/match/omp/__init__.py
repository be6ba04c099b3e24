"""Orthogonal matching pursuit, on the CPU and on a GPU."""
