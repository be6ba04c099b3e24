"""Result files -> tables and pages: pure functions of the files."""
