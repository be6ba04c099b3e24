"""Measurements behind the figures of the documents, a package or a module each."""
