"""The library's face on one's own arrays: picks, matches and an estimator, in a line each."""
