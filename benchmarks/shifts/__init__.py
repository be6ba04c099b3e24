"""Shifts: each rule of acquisition on worlds of real and of made-up shifts."""
