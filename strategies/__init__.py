"""The trainer: what it knows, whom it asks for how much, and the Flower strategy that does it."""
