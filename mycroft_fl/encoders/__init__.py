"""Pretrained image encoders, and a cache of their embeddings."""
