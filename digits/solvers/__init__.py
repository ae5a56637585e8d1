"""Solvers of least squares and of L2-regularised logistic regression.

A module each, and `reference` with scikit-learn's: no model depends on another's solver.
"""
