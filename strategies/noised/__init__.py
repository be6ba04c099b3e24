"""What is made of noised answers: scores, and steps of the last layer."""
