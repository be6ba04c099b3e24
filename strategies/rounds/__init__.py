"""One round after another: who is asked for what, what comes back, where every owner stands."""
