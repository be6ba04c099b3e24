"""Trainer and owners on one machine: scenarios, and how to run and study them."""
