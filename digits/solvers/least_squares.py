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

from digits.solvers.estimator import Estimator, available_threads
from digits.solvers.rows import Rows

# Relative to the largest eigenvalue of XᵀX; MNIST's lie above 1e-4 or below 1e-16.
RANK_TOLERANCE = 1e-12


@dataclass
class LinearRegression(Estimator):
    """Least squares of one target; `rank_` is the number of independent columns."""

    n_threads: int | None = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit y, (n_samples,), to the columns of X, standardised here.

        X: (n_samples, ...) uint8 or float, may be memory-mapped
        """
        n_threads = self.n_threads or available_threads()
        with ThreadPoolExecutor(n_threads) as pool, threadpool_limits(1, "blas"):
            rows = Rows(X, pool, n_threads, keep=False)
            mean = np.mean(y)
            gram = rows.gram()[:-1, :-1]
            target = rows.gradient(rows.fold((y - mean)[:, None].astype(float)), float)[
                0, :-1
            ]
            values, vectors = linalg.eigh(gram, check_finite=False)
        sound = values > RANK_TOLERANCE * values[-1:]
        vectors = vectors[:, sound]
        solution = vectors @ ((vectors.T @ target) / values[sound])
        self.rank_ = int(sound.sum())
        self.coef_, self.intercept_ = rows.unfold(np.append(solution, mean)[None])
        self.mean_, self.scale_ = rows.mean, rows.scale
        return self
