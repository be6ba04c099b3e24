"""The trainer itself: its splits, its models, what an owner's examples are worth to it."""
