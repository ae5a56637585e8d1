"""The report page: what the models do, to look at and to try."""
