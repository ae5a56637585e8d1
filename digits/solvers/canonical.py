"""Canonical coefficients: rounded to a grid, so that every processor gives the same ones.

Processors differ in the order in which they sum, and so in the last bits of a fit. But if a
fit w is within `error` of the optimum w*, and no coefficient is within `error` of a
boundary between two multiples of a step h, then w and w* lie between the same boundaries:
the rounded fit is the rounded optimum. This is so on every processor on which it is shown.

1. *How far a fit is from the optimum.* An objective f with the penalty ½‖w‖² is 1-strongly
   convex, so error ≤ ‖∇f‖. At the limit of float64, ‖∇f‖ is little more than the rounding
   of the gradient. For least squares, the error is the next
   correction of iterative refinement, and rounding. Two fits differ by at most the sum of
   their errors.
2. *How likely a coefficient is near a boundary.* Where the boundaries lie is arbitrary. So
   a coefficient is within `error` of one with the probability 2 · error / h, and one of m
   coefficients with at most m times that. A fit goes on until none is
   (`grid.is_settled`), or until rounding lets it get no nearer. Then a warning says that
   another processor may give other coefficients.

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
ROUNDING = 2.0**-53  # of a float64, relative


def grid_step(most_move: float, trace: float) -> float:
    """Return the largest power of two h with h²/24 · trace ≤ most_move.

    Args:
        most_move: By how much the objective may grow, positive.
        trace: The trace of the objective's Hessian, positive.
    """
    return grid.power_of_two(math.sqrt(24 * most_move / trace))


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
        if not size < error / 2 or size < ROUNDING * np.abs(X).max():
            return X, size
        X, error = X + correction, size
