"""Per-example gradients as atoms, held as small factors."""
