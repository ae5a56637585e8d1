"""Figures of results and of data, drawn with matplotlib."""

# With more classes, the cells of a confusion matrix and the rows of scores are small, in
# figures and on the report page.
FEW_CLASSES = 20
