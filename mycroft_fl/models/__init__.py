"""Models: networks by name, fitting and evaluating them, weights as flat vectors and files."""
