"""The library and the command line of the digits pipeline."""
