"""`python -m mycroft_fl`: the command line, where its script is not on the path."""

from mycroft_fl.cli.main import main

main()
