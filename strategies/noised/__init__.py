"""The use of noised answers: scores, and steps of the last layer."""
