"""Parameters, command-line helpers, code fingerprints and the input guard."""
