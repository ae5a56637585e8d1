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

    def repeat(self, n_outputs: int) -> "BlockDiagonal":
        """Return the same matrix as a block of its own for each class."""
        return BlockDiagonal([self.factor] * n_outputs)


class BlockDiagonal(Preconditioner):
    """A matrix for each class, which ignores how classes influence each other.

    Args:
        factors: The Cholesky factor of each class, (n_columns, n_columns) each.
    """

    def __init__(self, factors: list[np.ndarray]) -> None:
        self.factors = factors

    def solve_lower(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V."""
        return self._substitute(V, 0)

    def solve_upper(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V."""
        return self._substitute(V, 1)

    def _substitute(self, V: np.ndarray, trans: Literal[0, 1]) -> np.ndarray:
        return np.array([_solve(L, v, trans) for L, v in zip(self.factors, V, strict=True)])


class CoupledSoftmax(Preconditioner):
    """The Hessian of a softmax, all classes together.

    A shift common to all classes changes no probability. So the rows of a solution sum
    to 0, and all classes but the first determine them. The Hessian is a weighted graph
    Laplacian, whose nodes are the classes: the pair (c, d) has the matrix
    G[c, d] = Xᵀ diag(C p_c p_d) X, which is added to the diagonal blocks of both classes
    and is -G[c, d] off the diagonal.

    Args:
        grams: G[c, d] of all pairs c > d, (n_columns, n_columns) float32. They are
            overwritten.
        n_outputs: Number of classes.
        ridge: Hessian of the penalty, (n_columns, n_columns).
        pool: Runs the blocks of the factorisation. Their results do not depend on it.
    """

    def __init__(
        self,
        grams: dict[tuple[int, int], np.ndarray],
        n_outputs: int,
        ridge: np.ndarray,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._classes = range(1, n_outputs)
        self._L = self._hessian(grams, n_outputs, ridge.astype(np.float32))
        self._factorize(pool)

    def _hessian(
        self,
        grams: dict[tuple[int, int], np.ndarray],
        n_outputs: int,
        ridge: np.ndarray,
    ) -> dict[tuple[int, int], np.ndarray]:
        """Return the blocks on and below the diagonal, of all classes but the first."""
        H = {(c, c): (1 - 1 / n_outputs) * ridge for c in self._classes}
        for (c, d), G in grams.items():
            H[c, c] += G
            if d:
                H[d, d] += G
                H[c, d] = np.subtract(-ridge / n_outputs, G, out=G)
        return H

    def _factorize(self, pool: ThreadPoolExecutor) -> None:
        """Replace the Hessian by its Cholesky factor, block column by block column."""
        L = self._L
        for j in self._classes:
            L[j, j] = cholesky(L[j, j])

            def divide(i: int, j: int = j) -> None:
                L[i, j] = _solve(L[j, j], L[i, j].T, 0).T

            def subtract(block: tuple[int, int], j: int = j) -> None:
                L[block] -= L[block[0], j] @ L[block[1], j].T

            below = range(j + 1, self._classes.stop)
            list(pool.map(divide, below))
            list(pool.map(subtract, [(i, k) for k in below for i in below if i >= k]))

    def solve_lower(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V, with zeros in the first row."""
        X = (V - V.mean(axis=0)).astype(np.float32)
        X[0] = 0
        for i in self._classes:
            for j in range(1, i):
                X[i] -= self._L[i, j] @ X[j]
            X[i] = _solve(self._L[i, i], X[i], 0)
        return X

    def solve_upper(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V, its rows summing to 0."""
        X = V.astype(np.float32)
        X[0] = 0
        for i in reversed(self._classes):
            for j in range(i + 1, len(X)):
                X[i] -= X[j] @ self._L[j, i]
            X[i] = _solve(self._L[i, i], X[i], 1)
        return X - X.mean(axis=0)


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
