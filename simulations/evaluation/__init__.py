"""What a run came to, on examples that no decision could see."""
