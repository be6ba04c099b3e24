"""The protocol of trainer and owner: their messages, packed, signed and sealed."""
