"""The looks of pages and plots."""
