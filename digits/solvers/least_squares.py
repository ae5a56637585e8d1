"""Ordinary least squares by the Gram matrix.

The pixels are whole numbers, so their Gram matrix is exact, whatever the order of
summation. If there are many solutions, the one of smallest norm is returned, as
`sklearn.linear_model.LinearRegression` does. It is refined with exact residuals and rounded
to a grid (`canonical`), so that it does not depend on the processor.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits

from digits.grid import is_settled, round_to
from digits.parallel import available_threads
from digits.solvers.canonical import grid_step, refine
from digits.solvers.estimator import Estimator
from digits.solvers.standardized import StandardizedMatrix

# A column is linearly dependent if the others leave less than this share of its variance
# unexplained. On MNIST this share is above 1e-4 or below 1e-14.
RANK_TOLERANCE = 1e-12
MOST_MOVE = 1e-12  # of the mean squared error, by rounding
# The mean squared error, as a share of the target's variance, below which the fit counts as
# perfect: the grid is not made finer.
PERFECT = 1e-6
TINY = 1e-300  # keeps a division finite

log = logging.getLogger(__name__)


@dataclass
class LinearRegression(Estimator):
    """Least squares of one target or of several.

    Attributes:
        n_threads: Number of threads, by default as many as there are processors.
        rank_: After `fit`, the number of linearly independent columns.
        mse_: After `fit`, the mean squared error on the training data, summed over the
            targets.
    """

    n_threads: int | None = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the coefficients to the columns of X, which are standardised here.

        Args:
            X: (n_samples, ...) uint8 or float, may be memory-mapped.
            y: (n_samples,) or (n_samples, n_targets).
        """
        n_threads = self.n_threads or available_threads()
        with ThreadPoolExecutor(n_threads) as pool, threadpool_limits(1, "blas"):
            matrix = StandardizedMatrix(X, pool, n_threads)
            Y = y.reshape(len(y), -1).astype(float)
            mean = Y.mean(axis=0)
            gram = matrix.gram()[:-1, :-1]
            # sums of whole numbers are exact: the mean is not subtracted before
            target = matrix.rmatmul(matrix.to_blocks(Y), float)[:, :-1].T
            solve, self.rank_ = _smallest_solution(gram)
            exact, error = refine(solve, gram, target)
        n, variance = len(y), Y.var(axis=0)
        mse = variance - (exact * target).sum(axis=0) / n
        trace = 2 * gram.trace() / n
        steps = [
            grid_step(MOST_MOVE * most, max(trace, 1))
            for most in np.maximum(mse, PERFECT * np.maximum(variance, TINY))
        ]
        solution = round_to(exact, np.array(steps))
        self.is_canonical_ = all(
            is_settled(column, step, 2 * error)
            for column, step in zip(exact.T, steps, strict=True)
        )
        if not self.is_canonical_:
            log.warning(
                "the solution is exact to %.1e only, so another processor may give other "
                "coefficients: columns depend on each other almost linearly",
                error,
            )
        move = ((solution - exact) * (gram @ (solution - exact))).sum(axis=0) / n
        self.gap_ = float((move / np.maximum(mse, PERFECT * variance + TINY)).max())
        self.mse_ = float(mse.sum())
        self.coef_, self.intercept_ = matrix.to_full_coef(np.vstack([solution, mean]).T)
        self.mean_, self.scale_ = matrix.mean, matrix.scale
        return self


def _smallest_solution(
    gram: np.ndarray,
) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """Return what finds the solution of smallest norm of gram · x = target, and the rank.

    The Cholesky factor with pivoting is ten times as fast as eigenvectors. The dependent
    columns give a basis of the null space, and its component of x is subtracted.

    Args:
        gram: (n, n), positive semidefinite.

    Returns:
        A function from targets in the range of `gram`, (n, n_targets), to solutions of the
        same shape; and the rank of `gram`.
    """
    n = len(gram)
    if n == 0:
        return np.copy, 0
    tolerance = RANK_TOLERANCE * gram.diagonal().max(initial=0)
    L, pivots, rank, _ = linalg.lapack.dpstrf(gram, lower=1, tol=tolerance)
    order = pivots - 1
    L = np.tril(L)[:, :rank]
    null = np.vstack(
        [
            -linalg.solve_triangular(L[:rank], L[rank:].T, lower=True, trans=1),
            np.eye(n - rank),
        ]
    )
    basis = linalg.qr(null, mode="economic")[0]

    def solve(target: np.ndarray) -> np.ndarray:
        x = np.zeros_like(target)
        x[:rank] = linalg.cho_solve((L[:rank], True), target[order[:rank]])
        solution = np.empty_like(x)
        solution[order] = x - basis @ (basis.T @ x)
        return solution

    return solve, int(rank)
