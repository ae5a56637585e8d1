"""Ordinary least squares by the Gram matrix.

The pixels are whole numbers, so their Gram matrix is exact, whatever the order of
summation. If there are many solutions, the one of smallest norm is returned, as
`sklearn.linear_model.LinearRegression` does.
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

# A column is linearly dependent if the others leave less than this share of its variance
# unexplained. On MNIST this share is above 1e-4 or below 1e-14.
RANK_TOLERANCE = 1e-12


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
            target = matrix.rmatmul(matrix.to_blocks(Y - mean), float)[:, :-1].T
            solution, self.rank_ = _smallest_solution(gram, target)
        self.mse_ = float(Y.var(axis=0).sum() - (solution * target).sum() / len(y))
        self.coef_, self.intercept_ = matrix.to_full_coef(np.vstack([solution, mean]).T)
        self.mean_, self.scale_ = matrix.mean, matrix.scale
        return self


def _smallest_solution(gram: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the solution of smallest norm of gram · x = target, and the rank.

    The Cholesky factor with pivoting is ten times as fast as eigenvectors. The dependent
    columns give a basis of the null space, and its component of x is subtracted.

    Args:
        gram: (n, n), positive semidefinite.
        target: (n, n_targets), in the range of `gram`.

    Returns:
        The solution, (n, n_targets), and the rank of `gram`.
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
