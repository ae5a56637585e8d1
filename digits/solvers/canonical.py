"""Canonical coefficients: rounded to a grid, so that every processor gives the same ones.

Processors differ in the order in which they sum, and so in the last bits of a fit. Two of
them have the same coefficients after rounding to multiples of a step h, if

1. the fits are much closer to each other than h. Both are within `error` of the optimum,
   and so within 2 · error of each other. For an objective f that is 1-strongly convex, as
   one with the penalty ½‖w‖² is, error ≤ ‖∇f‖. Fits are driven to the limit of float64,
   where ‖∇f‖ is only the rounding of the gradient;
2. no coefficient is within 2 · error of a boundary between two multiples. Where the
   boundaries lie is arbitrary, so two results that differ by d fall on different sides of
   one with the probability d / h. For m coefficients, the expected number that differ is
   the sum of these, at most √m · 2 · error / h. A fit goes on until this is at most
   `ENOUGH`. Then `grid.is_settled` tells whether a coefficient is so close to a boundary
   after all; if so, a warning says that another processor may give another one.

The step is chosen by what rounding does to the objective. Rounding moves each coefficient
by δ with |δ| ≤ h/2, so to second order f grows by ½ δᵀHδ. The δ are as good as random and
independent, with mean 0 and variance h²/12, so this is h²/24 · tr(H) on average.
`grid_step` returns the largest power of two for which this is at most the share `MOST_MOVE`
of f. A fit then evaluates f at the rounded coefficients. If f grew by more than that share,
the step is halved. The bound on the gap that a fit reports is that of the rounded
coefficients.
"""

import math
from collections.abc import Callable

import numpy as np

from digits import grid

MOST_MOVE = 1e-8  # of the objective, by rounding
ENOUGH = 0.005  # expected number of coefficients that differ on another processor


def grid_step(most_move: float, trace: float) -> float:
    """Return the largest power of two h with h²/24 · trace ≤ most_move.

    Args:
        most_move: By how much the objective may grow, positive.
        trace: The trace of the objective's Hessian, positive.
    """
    return grid.power_of_two(math.sqrt(24 * most_move / trace))


def expected_differences(error: np.ndarray, n_coefs: int, step: np.ndarray) -> np.ndarray:
    """Bound the expected number of coefficients that differ on another processor.

    Args:
        error: The largest distance from the optimum, ‖w - w*‖, of each problem.
        n_coefs: The number of coefficients of a problem.
        step: The step of the grid of each problem.
    """
    return 2 * error * np.sqrt(n_coefs) / step


def refine(
    solve_roughly: Callable[[np.ndarray], np.ndarray], A: np.ndarray, B: np.ndarray
) -> tuple[np.ndarray, float]:
    """Solve A X = B to the limit of float64, by iterative refinement.

    Args:
        solve_roughly: Function that multiplies (n, k) nearly by the inverse of A.
        A: (n, n) float64.
        B: (n, k) float64.

    Returns:
        X: (n, k) float64.
        error: The largest error of X: the correction that comes next.
    """
    X, error = solve_roughly(B), math.inf
    while True:
        correction = solve_roughly(grid.residual(A, X, B))
        size = float(np.abs(correction).max())
        if not size < error / 2:
            return X, size
        X, error = X + correction, size
