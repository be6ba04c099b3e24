"""The vault as a server: socket, process, lock, and a person's approval."""
