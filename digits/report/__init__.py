"""The report page: interactive results of all variants in one HTML file."""
