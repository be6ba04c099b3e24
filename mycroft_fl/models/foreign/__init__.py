"""Models of others: objects under an import path, and weights in files of theirs."""
