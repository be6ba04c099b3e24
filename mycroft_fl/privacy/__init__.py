"""What an owner has given away, kept where no process can forget it."""
