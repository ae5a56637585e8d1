"""Ordinary least squares by the Gram matrix.

The pixels are whole numbers, so their Gram matrix is exact, whatever the order of
summation. Of many solutions the one of smallest norm is taken, as by
`sklearn.linear_model.LinearRegression`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits

from digits.parallel import available_threads
from digits.solvers.estimator import Estimator
from digits.solvers.standardized import StandardizedMatrix

# A column is dependent if less than this share of its variance is left unexplained by
# the others: on MNIST that is above 1e-4 or below 1e-14.
RANK_TOLERANCE = 1e-12


@dataclass
class LinearRegression(Estimator):
    """Least squares of one target or of several.

    `rank_` is the number of independent columns, `mse_` the mean squared error on the
    training data, summed over the targets.
    """

    n_threads: int | None = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit y, (n_samples,) or (n_samples, n_targets), to X's columns, standardised here.

        X: (n_samples, ...) uint8 or float, may be memory-mapped
        """
        n_threads = self.n_threads or available_threads()
        with ThreadPoolExecutor(n_threads) as pool, threadpool_limits(1, "blas"):
            matrix = StandardizedMatrix(X, pool, n_threads)
            Y = y.reshape(len(y), -1).astype(float)
            mean = Y.mean(axis=0)
            gram = matrix.gram()[:-1, :-1]
            target = matrix.rmatmul(matrix.to_blocks(Y - mean), float)[:, :-1].T
            solution, self.rank_ = _smallest_solution(gram, target)
        self.mse_ = float(Y.var(axis=0).sum() - (solution * target).sum() / len(y))
        self.coef_, self.intercept_ = matrix.to_full_coef(np.vstack([solution, mean]).T)
        self.mean_, self.scale_ = matrix.mean, matrix.scale
        return self


def _smallest_solution(gram: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the x of smallest norm that solves gram · x = target, and gram's rank.

    gram: (n, n), positive semidefinite; target: (n, n_targets), in its range

    By the Cholesky factor with pivoting, ten times as fast as by eigenvectors: what
    is left of the dependent columns spans the null space, and is taken out of x.
    """
    n = len(gram)
    if n == 0:
        return target, 0
    tolerance = RANK_TOLERANCE * gram.diagonal().max(initial=0)
    L, pivots, rank, _ = linalg.lapack.dpstrf(gram, lower=1, tol=tolerance)
    order = pivots - 1
    L = np.tril(L)[:, :rank]
    x = np.zeros_like(target)
    x[:rank] = linalg.cho_solve((L[:rank], True), target[order[:rank]])
    null = np.vstack(
        [
            -linalg.solve_triangular(L[:rank], L[rank:].T, lower=True, trans=1),
            np.eye(n - rank),
        ]
    )
    x -= null @ linalg.lstsq(null, x)[0]
    solution = np.empty_like(x)
    solution[order] = x
    return solution, int(rank)
