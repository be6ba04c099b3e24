"""A data owner: its vault, its policy, and the thin Flower client in front of them."""
