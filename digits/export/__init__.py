"""Models in the formats of other programs, with what one must know to use them.

A module for each format has `save(fitted, path)`. It is imported when it is needed.
"""
