"""Metrics: what a good model is judged by, from the setting's text to a value on examples."""
