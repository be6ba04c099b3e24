"""The evaluation of a simulated run, on examples that no decision could see."""
