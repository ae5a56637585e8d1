"""Standardised rows, in blocks: what the solvers know of the data.

The data are grey values (uint8) or floats, in memory or memory-mapped. Standardised
they would need four to eight times the room, so they are standardised block by block,
or, where the raw pixels will do, not at all: the standardisation is folded into the
other factor of a product. Blocks are shared out to threads, each with a
single-threaded BLAS; sums run over blocks in their order, in float64, so the result
does not depend on who was faster.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from digits.parallel import sum_tuples

BLOCK = 120  # rows of a product: few enough for OpenBLAS's kernels without packing
CHUNK = 40  # blocks that a thread takes at once, or an eighth of all if that is less
SQUARES = 256  # so many squares of bytes a float32 sums exactly: 256 · 255² < 2²⁴
MIDDLE, EXACT = np.float32(128), 1024  # less 128, so many: 1024 · 128² = 2²⁴


class Rows:
    """The rows of X, standardised, constant columns left out, a column of ones added.

    X: (n_samples, ...) uint8 or float, flattened to (n_samples, n_features)
    pool: runs the blocks; `n_threads` parts at a time

    Attributes: `mean` and `scale`, (n_features,), a constant column's scale being 1;
    `varies`, (n_features,) bool; `width`, the columns that vary, and one. A row of
    scores or residuals is laid out as (n_blocks, n_outputs, BLOCK), the last block
    filled up with rows of zeros, which change no product.
    """

    def __init__(self, X: np.ndarray, pool: ThreadPoolExecutor, n_threads: int) -> None:
        self.X, self.pool = X.reshape(len(X), -1), pool
        self.is_bytes = self.X.dtype == np.uint8
        self.n_samples = len(X)
        self.n_blocks = -(-self.n_samples // BLOCK)
        self.padding = self.n_blocks * BLOCK - self.n_samples
        self.chunk = min(CHUNK, -(-self.n_blocks // 8))
        starts = np.arange(0, self.n_blocks, self.chunk)
        self.parts = [part for part in np.array_split(starts, n_threads) if len(part)]
        self._set_moments()
        self.width = int(self.varies.sum()) + 1

    def map(self, function: Callable[[int, int], Any]) -> list[Any]:
        """Return `function(first, end)` of all chunks of blocks, in their order."""

        def run(starts: np.ndarray) -> list[Any]:
            return [function(a, min(a + self.chunk, self.n_blocks)) for a in starts]

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
            parts = (F[i : i + SQUARES] for i in range(0, len(F), SQUARES))
            squares: Any = sum(np.einsum("ij,ij->j", x, x).astype(float) for x in parts)
            return F.sum(axis=0).astype(float), squares

        total, squares = sum_tuples(self.map(moments))
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

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the standardised rows of `index`, (n, width) float32."""
        F = np.ones((len(index), self.width), np.float32)
        F[:, :-1] = self._standardise(self.X[index][:, self.varies], np.float32)
        return F

    def _tiles(self, a: int, b: int, dtype: DTypeLike) -> Iterator[tuple[int, np.ndarray]]:
        """Yield blocks a to b, two at a time: they stay in the processor's cache.

        Of bytes the raw pixels, else the standardised columns that vary; rows of zeros
        at the end. The array is the same one each time.
        """
        columns = self.X.shape[1] if self.is_bytes else self.width - 1
        tile = np.empty((2, BLOCK, columns), dtype)
        rows = tile.reshape(2 * BLOCK, columns)
        for i in range(a, b, 2):
            end = min(i + 2, b)
            U = self.X[i * BLOCK : end * BLOCK]
            rows[: len(U)] = (
                U if self.is_bytes else self._standardise(U[:, self.varies], dtype)
            )
            rows[len(U) :] = 0
            yield i, tile[: end - i]

    def product(
        self, W: np.ndarray, dtype: DTypeLike = np.float32
    ) -> Callable[[int, int], np.ndarray]:
        """Return a function: blocks a, b to their scores W Xᵀ, (b - a, n_outputs, BLOCK).

        W: (n_outputs, width)
        """
        V, shift = W[:, :-1], W[:, -1]
        if self.is_bytes:  # the standardisation is folded into the weights
            V = np.zeros((len(W), len(self.varies)))
            V[:, self.varies] = W[:, :-1] / self._spread
            shift = W[:, -1] - V @ self.mean
        V, shift = np.ascontiguousarray(V, dtype), shift.astype(dtype)[:, None]

        def scores(a: int, b: int) -> np.ndarray:
            Z = np.empty((b - a, len(V), BLOCK), dtype)
            for i, tile in self._tiles(a, b, dtype):
                np.matmul(V, tile.transpose(0, 2, 1), out=Z[i - a : i - a + len(tile)])
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

        def chunk(a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
            r = R[a:b].astype(dtype)
            self._clear_padding(r, b)
            G: Any = 0.0
            for i, tile in self._tiles(a, b, dtype):
                for j, block in enumerate(tile, i - a):
                    G = G + np.matmul(r[j], block)
            return G, r.sum(axis=(0, 2), dtype=float)

        G, total = sum_tuples(self.map(chunk))
        if self.is_bytes:
            G -= np.outer(total, self.mean)
            G = G[:, self.varies] / self._spread
        return np.column_stack([G, total])

    def gram(self) -> np.ndarray:
        """Return XᵀX, (width, width) float64; of uint8 exact up to the centring."""
        dtype = np.float32 if self.is_bytes else np.float64
        n_varying = self.width - 1
        edges = np.flatnonzero(np.diff(self.varies, prepend=False, append=False))
        runs = list(zip(edges[::2], edges[1::2], strict=True))  # copied faster than masked

        def run(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            G, total = np.zeros((n_varying, n_varying)), np.zeros(n_varying)
            product, F = np.empty_like(G, dtype), np.empty((EXACT, n_varying), dtype)
            for i in starts:
                U = self.X[i : i + EXACT]
                f, column = F[: len(U)], 0
                if self.is_bytes:
                    for a, b in runs:
                        np.subtract(U[:, a:b], MIDDLE, out=f[:, column : column + b - a])
                        column += b - a
                else:
                    f[:] = self._standardise(U[:, self.varies], dtype)
                G += np.matmul(f.T, f, out=product)
                total += f.sum(axis=0)
            return G, total

        starts = np.arange(0, self.n_samples, EXACT)
        G, total = sum_tuples(self.pool.map(run, np.array_split(starts, len(self.parts))))
        if self.is_bytes:  # whole numbers below 2⁵³, so exactly that of the grey values
            G += MIDDLE * (total + total[:, None]) + float(MIDDLE) ** 2 * self.n_samples
            total += float(MIDDLE) * self.n_samples
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
