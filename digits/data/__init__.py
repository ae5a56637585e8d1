"""The data: mirrors, readers, checks, files, and the registry of known data sets."""
