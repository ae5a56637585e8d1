"""What the solvers know of the curvature: a metric M ≈ H in factors, M = L Lᵀ.

Vectors are (n_outputs, width), a row for each class. `forward` returns L⁻¹ V and
`backward` L⁻ᵀ V, so that one after the other solve M x = V, and `backward` of
independent normal values has the covariance M⁻¹.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import linalg


class Separate:
    """A metric of each class alone, or one that all of them share."""

    def __init__(self, factors: list[np.ndarray]) -> None:
        self.factors = factors

    def forward(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V."""
        return self._substitute(V, 0)

    def backward(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V."""
        return self._substitute(V, 1)

    def _substitute(self, V: np.ndarray, trans: int) -> np.ndarray:
        if len(self.factors) == 1:
            return _solve(self.factors[0], V.T, trans).T
        return np.array([_solve(L, v, trans) for L, v in zip(self.factors, V, strict=True)])


class Coupled:
    """The metric of a softmax, all classes together.

    A shift common to all classes changes no probability, so the rows of a solution sum
    to 0, and all classes but the first determine them. The Hessian is a Laplacian of
    the classes: of the pair c, d it has the matrix G[c, d] = Xᵀ diag(C p_c p_d) X in
    both of their diagonal blocks, and -G[c, d] off the diagonal.

    pairs: (c, d), c > d, of all classes
    grams: G[c, d] of each, (width, width) float32; they are written over
    ridge: the penalty, (width, width)
    """

    def __init__(
        self,
        pairs: list[tuple[int, int]],
        grams: list[np.ndarray],
        ridge: np.ndarray,
        pool: ThreadPoolExecutor,
    ) -> None:
        n_outputs = pairs[-1][0] + 1
        blocks = range(1, n_outputs)
        ridge = ridge.astype(np.float32)
        L = {(c, c): (1 - 1 / n_outputs) * ridge for c in blocks}
        for (c, d), G in zip(pairs, grams, strict=True):
            L[c, c] += G
            if d:
                L[d, d] += G
                L[c, d] = np.subtract(-ridge / n_outputs, G, out=G)
        for j in blocks:  # the Cholesky factor, block by block, whatever the threads
            L[j, j] = cholesky(L[j, j])

            def divide(i: int, j: int = j) -> None:
                L[i, j] = _solve(L[j, j], L[i, j].T, 0).T

            def subtract(at: tuple[int, int], j: int = j) -> None:
                L[at] -= L[at[0], j] @ L[at[1], j].T

            below = range(j + 1, n_outputs)
            list(pool.map(divide, below))
            list(pool.map(subtract, [(i, k) for k in below for i in below if i >= k]))
        self.L, self.blocks = L, blocks

    def forward(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻¹ V, with nothing in the first row."""
        X = (V - V.mean(axis=0)).astype(np.float32)
        X[0] = 0
        for i in self.blocks:
            for j in range(1, i):
                X[i] -= self.L[i, j] @ X[j]
            X[i] = _solve(self.L[i, i], X[i], 0)
        return X

    def backward(self, V: np.ndarray) -> np.ndarray:
        """Return L⁻ᵀ V, its rows summing to 0."""
        X = V.astype(np.float32)
        X[0] = 0
        for i in reversed(self.blocks):
            for j in range(i + 1, len(X)):
                X[i] -= X[j] @ self.L[j, i]
            X[i] = _solve(self.L[i, i], X[i], 1)
        return X - X.mean(axis=0)


def cholesky(G: np.ndarray) -> np.ndarray:
    """Return the float32 Cholesky factor, with no more diagonal than rounding needs."""
    G = G.astype(np.float32)
    extra = 0.0
    while True:
        try:
            return linalg.cholesky(
                G + extra * np.diag(np.diag(G)), lower=True, check_finite=False
            )
        except linalg.LinAlgError:
            extra = max(10 * extra, 1e-7)


def _solve(L: np.ndarray, V: np.ndarray, trans: int) -> np.ndarray:
    return linalg.solve_triangular(L, V, lower=True, trans=trans, check_finite=False)
