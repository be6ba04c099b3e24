"""What others made: objects under an import path, and weights in files of theirs."""
