"""Standardised rows, in blocks: what the solvers know of the data.

The data are grey values (uint8) or floats, in memory or memory-mapped. Standardised
they would need four to eight times the room, so they are standardised block by block,
or, where the raw pixels will do, not at all: the standardisation is folded into the
other factor of a product. Blocks are shared out to threads, each with a
single-threaded BLAS; sums run over blocks in their order, in float64, so the result
does not depend on who was faster.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

BLOCK = 120  # rows of a product: few enough for OpenBLAS's kernels without packing
CHUNK = 40  # blocks that a thread takes at once
CACHE_BYTES = 400e6  # up to this size the standardised float32 rows are kept
EXACT = 256  # rows whose products of bytes a float32 sums exactly: 256 · 255² < 2²⁴


def add_up(results: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the sum of the first items, of the second items, and so on."""
    return [sum(items) for items in zip(*results, strict=True)]


class Rows:
    """The rows of X, standardised, constant columns left out, a column of ones added.

    X: (n_samples, ...) uint8 or float, flattened to (n_samples, n_features)
    pool: runs the blocks; `n_threads` parts at a time

    Attributes: `mean` and `scale`, (n_features,), a constant column's scale being 1;
    `varies`, (n_features,) bool; `width`, the columns that vary, and one. A row of
    scores or residuals is laid out as (n_blocks, n_outputs, BLOCK), the last block
    filled up with rows of zeros, which change no product.
    """

    def __init__(
        self, X: np.ndarray, pool: ThreadPoolExecutor, n_threads: int, *, keep: bool = True
    ) -> None:
        self.X, self.pool = X.reshape(len(X), -1), pool
        self.is_bytes = self.X.dtype == np.uint8
        self.n_samples = len(X)
        self.n_blocks = -(-self.n_samples // BLOCK)
        self.padding = self.n_blocks * BLOCK - self.n_samples
        starts = np.arange(0, self.n_blocks, CHUNK)
        self.parts = [part for part in np.array_split(starts, n_threads) if len(part)]
        self._set_moments()
        self.width = int(self.varies.sum()) + 1
        self.kept: np.ndarray | None = None
        if keep and self.n_blocks * BLOCK * self.width * 4 <= CACHE_BYTES:
            kept = np.empty((self.n_blocks, BLOCK, self.width), np.float32)
            self.map(lambda a, b: kept.__setitem__(slice(a, b), self.read(a, b)))
            self.kept = kept

    def map(self, function: Callable[[int, int], Any]) -> list[Any]:
        """Return `function(first, end)` of all chunks of blocks, in their order."""

        def run(starts: np.ndarray) -> list[Any]:
            return [function(a, min(a + CHUNK, self.n_blocks)) for a in starts]

        return [result for part in self.pool.map(run, self.parts) for result in part]

    def fold(self, values: np.ndarray) -> np.ndarray:
        """Lay (n_samples, n_outputs) out as (n_blocks, n_outputs, BLOCK)."""
        folded = np.zeros((self.n_blocks * BLOCK, values.shape[1]), values.dtype)
        folded[: self.n_samples] = values
        folded = folded.reshape(self.n_blocks, BLOCK, -1)
        return np.ascontiguousarray(folded.transpose(0, 2, 1))

    def _set_moments(self) -> None:
        shift: Any = 0 if self.is_bytes else self.X[:1000].mean(axis=0, dtype=float)

        def moments(a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
            U = self.X[a * BLOCK : b * BLOCK]
            if not self.is_bytes:
                U = U.astype(float) - shift
                return U.sum(axis=0), np.einsum("ij,ij->j", U, U)
            F = U.astype(np.float32)
            parts = (F[i : i + EXACT] for i in range(0, len(F), EXACT))
            squares: Any = sum(np.einsum("ij,ij->j", x, x).astype(float) for x in parts)
            return U.sum(axis=0, dtype=np.uint64).astype(float), squares

        total, squares = add_up(self.map(moments))
        n = self.n_samples
        variance = (n * squares - total**2) / n**2
        # Of whole numbers the sums are exact; of others, what is left by rounding.
        self.varies: np.ndarray = variance > (0 if self.is_bytes else 1e-12 * squares / n)
        self.mean = total / n + shift
        self.scale = np.where(self.varies, np.sqrt(np.maximum(variance, 0)), 1.0)
        self._centre, self._spread = self.mean[self.varies], self.scale[self.varies]

    def _standardise(self, U: np.ndarray, dtype: DTypeLike) -> np.ndarray:
        U = U.astype(dtype if self.is_bytes else float)
        U -= self._centre.astype(U.dtype)
        U *= (1 / self._spread).astype(U.dtype)
        return U.astype(dtype, copy=False)

    def read(self, a: int, b: int, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return the standardised blocks a to b, (b - a, BLOCK, width)."""
        if self.kept is not None and dtype is np.float32:
            return self.kept[a:b]
        U = self.X[a * BLOCK : b * BLOCK][:, self.varies]
        F = np.zeros(((b - a) * BLOCK, self.width), dtype)
        F[: len(U), :-1] = self._standardise(U, dtype)
        F[: len(U), -1] = 1
        return F.reshape(b - a, BLOCK, self.width)

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the standardised rows of `index`, (n, width) float32."""
        if self.kept is not None:
            return self.kept.reshape(-1, self.width)[index]
        U = self._standardise(self.X[index][:, self.varies], np.float32)
        return np.hstack([U, np.ones((len(U), 1), np.float32)])

    def _folded(self, dtype: DTypeLike) -> bool:
        """Whether products use the raw pixels, with the standardisation folded in."""
        return self.is_bytes and (self.kept is None or dtype is not np.float32)

    def _raw(self, a: int, b: int, dtype: DTypeLike) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the raw pixels of blocks a to b, two at a time: they stay in the cache."""
        for i in range(a, b, 2):
            U = self.X[i * BLOCK : min(i + 2, b) * BLOCK].astype(dtype)
            missing = -len(U) % BLOCK
            if missing:
                U = np.vstack([U, np.zeros((missing, U.shape[1]), dtype)])
            yield i, U.reshape(-1, BLOCK, U.shape[1])

    def product(
        self, W: np.ndarray, dtype: DTypeLike = np.float32
    ) -> Callable[[int, int], np.ndarray]:
        """Return a function: blocks a, b to their scores W Xᵀ, (b - a, n_outputs, BLOCK).

        W: (n_outputs, width)
        """
        if not self._folded(dtype):
            W = np.ascontiguousarray(W, dtype)
            return lambda a, b: np.matmul(W, self.read(a, b, dtype).transpose(0, 2, 1))
        V = np.zeros((len(W), len(self.varies)))
        V[:, self.varies] = W[:, :-1] / self._spread
        shift = (W[:, -1] - V @ self.mean).astype(dtype)[:, None]
        V = V.astype(dtype)

        def scores(a: int, b: int) -> np.ndarray:
            parts = [np.matmul(V, U.transpose(0, 2, 1)) for _, U in self._raw(a, b, dtype)]
            Z = np.concatenate(parts)
            Z += shift
            self._clear_padding(Z, b)
            return Z

        return scores

    def _clear_padding(self, Z: np.ndarray, b: int) -> None:
        if b == self.n_blocks and self.padding:
            Z[-1, :, -self.padding :] = 0

    def scores(self, W: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return W Xᵀ of all rows, (n_blocks, n_outputs, BLOCK); W: (n_outputs, width)."""
        Z, product = np.empty((self.n_blocks, len(W), BLOCK), dtype), self.product(W, dtype)
        self.map(lambda a, b: Z.__setitem__(slice(a, b), product(a, b)))
        return Z

    def gradient(self, R: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return R X, (n_outputs, width): in `dtype` in a block, in float64 over blocks.

        R: (n_blocks, n_outputs, BLOCK)
        """

        def standardised(a: int, b: int) -> np.ndarray:
            r = R[a:b].astype(dtype, copy=False)
            return np.matmul(r, self.read(a, b, dtype)).sum(axis=0, dtype=float)

        def raw(a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
            r = R[a:b].astype(dtype)
            self._clear_padding(r, b)
            G: Any = sum(
                np.matmul(r[i - a : i - a + len(U)], U).sum(axis=0, dtype=float)
                for i, U in self._raw(a, b, dtype)
            )
            return G, r.sum(axis=(0, 2), dtype=float)

        if not self._folded(dtype):
            return sum(self.map(standardised))
        G, total = add_up(self.map(raw))
        G -= np.outer(total, self.mean)
        return np.column_stack([G[:, self.varies] / self._spread, total])

    def gram(self) -> np.ndarray:
        """Return XᵀX, (width, width) float64; of uint8 exact up to the centring."""
        dtype = np.float32 if self.is_bytes else np.float64
        n_varying = self.width - 1

        def run(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            G, total = np.zeros((n_varying, n_varying)), np.zeros(n_varying)
            block = np.empty_like(G, dtype)
            for a in starts * BLOCK:
                end = min(a + CHUNK * BLOCK, self.n_samples)
                for i in range(a, end, EXACT):
                    U = self.X[i : min(i + EXACT, end)][:, self.varies]
                    F = U.astype(dtype) if self.is_bytes else self._standardise(U, dtype)
                    G += np.matmul(F.T, F, out=block)
                    total += F.sum(axis=0)
            return G, total

        G, total = add_up(self.pool.map(run, self.parts))
        G -= np.outer(total, total / self.n_samples)
        if self.is_bytes:
            G /= np.outer(self._spread, self._spread)
        full = np.zeros((self.width, self.width))
        full[:-1, :-1], full[-1, -1] = G, self.n_samples
        return full

    def unfold(self, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coef (n_outputs, n_features), 0 where constant, and the intercept."""
        coef = np.zeros((len(W), len(self.varies)))
        coef[:, self.varies] = W[:, :-1]
        return coef, W[:, -1].copy()
