"""The matching engine beside its peers: gradients, nearest, pursuit."""
