"""Parameters, the command line, and the check that inputs stay as they are."""
