"""How a model is fitted: least squares and L2-regularised logistic regression."""

from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression

__all__ = ["LinearRegression", "LogisticRegression"]
