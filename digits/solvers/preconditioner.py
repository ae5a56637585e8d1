"""Preconditioners: Hessians M of a logistic loss in Cholesky factors, M = L Lᵀ.

Vectors are (n_outputs, n_columns), a row for each class.
"""

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from scipy import linalg

MIN_JITTER = 1e-7  # of the diagonal, where rounding makes a matrix indefinite


class Preconditioner(ABC):
    """A positive definite matrix M = L Lᵀ, which is solved by substitution.

    `solve_upper` of independent standard normal values has the covariance M⁻¹.
    """

    @abstractmethod
    def solve_lower(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V."""

    @abstractmethod
    def solve_upper(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V."""

    def solve(self, V: np.ndarray) -> np.ndarray:
        """Return M⁻¹ V."""
        return self.solve_upper(self.solve_lower(V))


class SharedBlock(Preconditioner):
    """The same matrix for each class.

    Args:
        factor: Its Cholesky factor L, (n_columns, n_columns).
    """

    def __init__(self, factor: np.ndarray) -> None:
        self.factor = factor

    def solve_lower(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V."""
        return _solve(self.factor, V.T, 0).T

    def solve_upper(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V."""
        return _solve(self.factor, V.T, 1).T

    def repeat(self, n_outputs: int, pool: ThreadPoolExecutor) -> "BlockDiagonal":
        """Return the same matrix as a block of its own for each class."""
        return BlockDiagonal([self.factor] * n_outputs, pool)


class BlockDiagonal(Preconditioner):
    """A matrix for each class, which ignores how classes influence each other.

    Args:
        factors: The Cholesky factor of each class, (n_columns, n_columns) each.
        pool: Runs the classes. The results do not depend on it.
    """

    def __init__(self, factors: list[np.ndarray], pool: ThreadPoolExecutor) -> None:
        self.factors = factors
        self._pool = pool

    def solve_lower(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V."""
        return self._substitute(V, 0)

    def solve_upper(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V."""
        return self._substitute(V, 1)

    def solve(self, V: np.ndarray) -> np.ndarray:
        """Return M⁻¹ V."""

        def both(L: np.ndarray, v: np.ndarray) -> np.ndarray:
            return _solve(L, _solve(L, v, 0), 1)

        return np.array(list(self._pool.map(both, self.factors, V)))

    def _substitute(self, V: np.ndarray, trans: Literal[0, 1]) -> np.ndarray:
        def one(L: np.ndarray, v: np.ndarray) -> np.ndarray:
            return _solve(L, v, trans)

        return np.array(list(self._pool.map(one, self.factors, V)))


def cholesky(G: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor in float32.

    Where rounding has made G indefinite, its diagonal is raised by the smallest share of
    1e-7, 1e-6, … that suffices.

    Args:
        G: (n, n), positive semidefinite.
    """
    G = G.astype(np.float32)
    jitter = 0.0
    while True:
        try:
            return linalg.cholesky(
                G + jitter * np.diag(np.diag(G)), lower=True, check_finite=False
            )
        except linalg.LinAlgError:
            jitter = max(10 * jitter, MIN_JITTER)


def _solve(L: np.ndarray, V: np.ndarray, trans: Literal[0, 1]) -> np.ndarray:
    """Return L⁻¹ V, or L⁻ᵀ V if trans is 1."""
    return linalg.solve_triangular(L, V, lower=True, trans=trans, check_finite=False)
