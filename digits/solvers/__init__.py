"""Solvers of least squares and of L2-regularised logistic regression.

`least_squares` and `logistic` are ours, `sklearn_backend` wraps scikit-learn's. No model
depends on another model's solver. docs/solver.md explains the methods.
"""
