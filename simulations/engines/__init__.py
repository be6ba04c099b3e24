"""Engines that run a run: Flower's, or this process."""
