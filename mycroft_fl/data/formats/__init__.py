"""Formats: images, archives and arrays as rows of numbers, and a cache of them."""
