"""How pages and plots look."""
