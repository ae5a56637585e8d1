"""Figures of results and of data, drawn with matplotlib."""
