"""What every stage stands on: parameters, data, files, errors and the command line."""
