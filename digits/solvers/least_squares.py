"""Ordinary least squares by the Gram matrix.

The pixels are whole numbers, so their Gram matrix is exact, whatever the order of
summation. If there are many solutions, the one of smallest norm is returned, as
`sklearn.linear_model.LinearRegression` does. It is refined with exact residuals and rounded
to a grid (`canonical`), so that it does not depend on the processor.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits

from digits.grid import is_settled, power_of_two, round_to
from digits.parallel import available_threads
from digits.solvers.canonical import ROUNDING, grid_step, refine
from digits.solvers.estimator import Estimator
from digits.solvers.rows import rows_of
from digits.solvers.standardized import StandardizedMatrix

# A column is linearly dependent if the others leave less than this share of its variance
# unexplained. On MNIST this share is above 1e-4 or below 1e-14.
RANK_TOLERANCE = 1e-12
MOST_MOVE = 1e-11  # of the mean squared error, by rounding
# The mean squared error, as a share of the target's variance, below which the fit counts as
# perfect: the grid is not made finer.
PERFECT = 1e-3
SMALLEST_ERROR = 2.0**-40  # of the target's variance: a multiple of it is reported
ROUNDINGS = 8 * ROUNDING  # of a projection
TINY = 1e-300  # keeps a division finite

log = logging.getLogger(__name__)


@dataclass
class LinearRegression(Estimator):
    """Least squares of one target or of several.

    Attributes:
        n_threads: Number of threads, by default as many as there are processors.
        client: A `distributed.Client`, on whose workers the rows are; None: here. The
            result has the same bytes.
        rank_: After `fit`, the number of linearly independent columns.
        mse_: After `fit`, the mean squared error on the training data, summed over the
            targets.
    """

    n_threads: int | None = None
    client: Any = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the coefficients to the columns of X, which are standardised here.

        Args:
            X: (n_samples, ...) uint8 or float, may be memory-mapped.
            y: (n_samples,) or (n_samples, n_targets).
        """
        Y = y.reshape(len(y), -1).astype(float)
        mean = Y.mean(axis=0)
        with (
            ThreadPoolExecutor(self.n_threads or available_threads()) as pool,
            threadpool_limits(1, "blas"),
        ):
            matrix = StandardizedMatrix(rows_of(X, Y, pool, self.client))
            # sums of whole numbers are exact: the mean is not subtracted before
            gram, target, scale = matrix.normal_equations()
            exact, error, self.rank_ = _smallest_solution(gram, target, scale)
        n, variance = len(y), np.maximum(Y.var(axis=0), TINY)
        mse = variance - (exact * target / scale[:, None]).sum(axis=0) / n**2
        smallest = SMALLEST_ERROR * np.array([power_of_two(value) for value in variance])
        mse = np.maximum(round_to(mse, smallest), 0)
        most = np.maximum(mse, PERFECT * variance)
        trace = 2.0 * max(len(gram), 1)
        steps = np.array([grid_step(MOST_MOVE * value, trace) for value in most])
        solution = round_to(exact, steps)
        settled = all(map(is_settled, exact.T, steps, 2 * error))
        columns = matrix.columns
        self.is_canonical_ = columns.is_bytes and settled
        if not settled:
            log.warning(
                "the solution is exact to %.1e only, so another processor may give other "
                "coefficients: columns depend on each other almost linearly",
                error.max(),
            )
        move = (solution - exact) / scale[:, None]
        self.gap_ = float(((move * (gram @ move)).sum(axis=0) / n**2 / most).max())
        self.mse_ = float(mse.sum())
        self.coef_, self.intercept_ = matrix.to_full_coef(np.vstack([solution, mean]).T)
        self.mean_, self.scale_ = columns.mean, columns.scale
        return self


def _smallest_solution(
    gram: np.ndarray, target: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the x of smallest norm with gram · (x / scale) = target.

    The Cholesky factor with pivoting is ten times as fast as eigenvectors, and finds a
    largest set of independent columns. These are solved for the target and for the
    dependent columns, which gives a basis of the null space, both to the limit of float64.
    The component of x in the null space is then subtracted. It does not matter which
    independent columns the factor finds.

    Args:
        gram: (n, n), positive semidefinite.
        target: (n, n_targets), in the range of `gram`.
        scale: (n,), positive.

    Returns:
        x: (n, n_targets).
        error: The largest error of each column of x, estimated, (n_targets,).
        rank: The rank of `gram`.
    """
    n, n_targets = target.shape
    if n == 0:
        return target, np.zeros(n_targets), 0
    tolerance = RANK_TOLERANCE * gram.diagonal().max()
    L, pivots, rank, _ = linalg.lapack.dpstrf(gram, lower=1, tol=tolerance)
    order = pivots - 1
    free, dependent = order[:rank], order[rank:]
    L = np.tril(L)[:rank, :rank]

    def solve(B: np.ndarray) -> np.ndarray:
        return linalg.cho_solve((L, True), B)

    A = gram[np.ix_(free, free)]
    B = np.hstack([target[free], gram[np.ix_(free, dependent)]])
    solved, error = refine(solve, A, B)
    x = np.zeros((n, n_targets))
    x[free] = scale[free, None] * solved[:, :n_targets]
    error = (error + ROUNDING) * np.maximum(np.abs(x).max(axis=0), 1)
    if rank < n:
        null = np.zeros((n, n - rank))
        null[free] = -scale[free, None] * solved[:, n_targets:]
        null[dependent] = np.diag(scale[dependent])
        basis = linalg.qr(null, mode="economic")[0]
        error = error + ROUNDINGS * np.linalg.norm(x, axis=0)
        for _ in range(2):  # the second one removes what rounding has left
            x = x - basis @ (basis.T @ x)
    return x, error, int(rank)
