"""Tasks: what each packaged scenario comes to."""
