"""Grids of runs: cells, workers, the folder that holds them."""
