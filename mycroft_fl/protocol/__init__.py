"""What trainer and owner say to each other, and how it is packed, signed and sealed."""
