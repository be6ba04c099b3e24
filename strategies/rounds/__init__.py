"""One round after another: who is asked for what, what comes back, what every owner is worth."""
