"""The standardised data matrix, computed block by block.

The data are grey values (uint8) or floats, in memory or memory-mapped. A standardised
copy would take four to eight times the memory. So the rows are standardised block by
block, or not at all: of bytes the raw pixels are multiplied, and the standardisation is
applied to the other factor of the product. Threads share the blocks, each with a
single-threaded BLAS. Sums run over the blocks in their order, so a result does not depend
on which thread was faster.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from digits.parallel import sum_tuples

BLOCK_ROWS = 120  # rows of a product: few enough for OpenBLAS's kernels without packing
CHUNK_BLOCKS = 40  # blocks that a thread takes at once, but at most an eighth of all
TILE_BLOCKS = 2  # blocks that are converted at once, so that they stay in the cache
SHIFT_ROWS = 1000  # rows whose mean is subtracted from floats before they are squared
ROUNDING = 1e-12  # the share of a float column's mean square that may be rounding

# float32 sums whole numbers exactly up to 2²⁴. So many squares of bytes can be summed:
EXACT_SQUARES = 256  # 256 · 255² < 2²⁴
# and so many products of bytes from which the middle grey value was subtracted:
MIDDLE_GREY, EXACT_PRODUCTS = np.float32(128), 1024  # 1024 · 128² = 2²⁴


class StandardizedMatrix:
    """The standardised columns of X that vary, and a column of ones for the intercept.

    Scores and residuals are stored in blocks: (n_blocks, n_outputs, BLOCK_ROWS). The
    last block is padded with rows of zeros, which change no product.

    Args:
        X: (n_samples, ...) uint8 or float, flattened to (n_samples, n_features).
        pool: Runs the blocks.
        n_threads: Number of parts that the blocks are divided into.

    Attributes:
        n_samples: Number of rows.
        n_blocks: Number of blocks, the last of which may be padded.
        padding: Number of padded rows in the last block.
        n_columns: Number of columns that vary, plus one for the intercept.
        varies: (n_features,) bool, false for a constant column.
        mean: (n_features,) float64, of each column.
        scale: (n_features,) float64, the standard deviation; 1 for a constant column.
        pool: The pool given above.
    """

    def __init__(self, X: np.ndarray, pool: ThreadPoolExecutor, n_threads: int) -> None:
        self.X = X.reshape(len(X), -1)
        self.pool = pool
        self.is_bytes = self.X.dtype == np.uint8
        self.n_samples = len(X)
        self.n_blocks = -(-self.n_samples // BLOCK_ROWS)
        self.padding = self.n_blocks * BLOCK_ROWS - self.n_samples
        self._chunk = min(CHUNK_BLOCKS, -(-self.n_blocks // 8))
        starts = np.arange(0, self.n_blocks, self._chunk)
        self._parts = [part for part in np.array_split(starts, n_threads) if len(part)]
        self.mean, self.scale, self.varies = self._moments()
        self._varying_mean, self._varying_scale = (
            self.mean[self.varies],
            self.scale[self.varies],
        )
        self.n_columns = int(self.varies.sum()) + 1

    def map_chunks(self, function: Callable[[int, int], Any]) -> list[Any]:
        """Call `function(first, end)` for each chunk of blocks, in parallel.

        Returns:
            The results, in the order of the chunks.
        """

        def run(starts: np.ndarray) -> list[Any]:
            return [function(a, min(a + self._chunk, self.n_blocks)) for a in starts]

        return [result for part in self.pool.map(run, self._parts) for result in part]

    def to_blocks(self, values: np.ndarray) -> np.ndarray:
        """Arrange values in blocks, padded with zeros.

        Args:
            values: (n_samples, n_outputs).

        Returns:
            (n_blocks, n_outputs, BLOCK_ROWS), of the same type.
        """
        blocks = np.zeros((self.n_blocks * BLOCK_ROWS, values.shape[1]), values.dtype)
        blocks[: self.n_samples] = values
        blocks = blocks.reshape(self.n_blocks, BLOCK_ROWS, -1)
        return np.ascontiguousarray(blocks.transpose(0, 2, 1))

    def to_full_coef(self, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coefficients of all features and the intercepts.

        Args:
            coef: (n_outputs, n_columns), the last column being the intercept.

        Returns:
            (n_outputs, n_features), 0 for a constant feature, and (n_outputs,).
        """
        full = np.zeros((len(coef), len(self.varies)))
        full[:, self.varies] = coef[:, :-1]
        return full, coef[:, -1].copy()

    def sample_rows(self, index: np.ndarray) -> np.ndarray:
        """Return the standardised rows of `index`, (len(index), n_columns) float32."""
        rows = np.ones((len(index), self.n_columns), np.float32)
        rows[:, :-1] = self._standardize(self.X[index][:, self.varies], np.float32)
        return rows

    def scorer(
        self, coef: np.ndarray, dtype: DTypeLike = np.float32
    ) -> Callable[[int, int], np.ndarray]:
        """Return a function that computes the scores of a range of blocks.

        Args:
            coef: (n_outputs, n_columns).
            dtype: Type in which the scores are computed.

        Returns:
            A function of the first and the end block, which returns coef Xᵀ of them,
            (end - first, n_outputs, BLOCK_ROWS), 0 for padded rows.
        """
        weights, shift = self._to_raw(coef, dtype)

        def scores(first: int, end: int) -> np.ndarray:
            Z = np.empty((end - first, len(weights), BLOCK_ROWS), dtype)
            for i, tile in self._tiles(first, end, dtype):
                out = Z[i - first : i - first + len(tile)]
                np.matmul(weights, tile.transpose(0, 2, 1), out=out)
            Z += shift
            self._clear_padding(Z, end)
            return Z

        return scores

    def scores(self, coef: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return coef Xᵀ of all rows, in blocks: the forward pass.

        Args:
            coef: (n_outputs, n_columns).
            dtype: Type in which the scores are computed.

        Returns:
            (n_blocks, n_outputs, BLOCK_ROWS).
        """
        Z = np.empty((self.n_blocks, len(coef), BLOCK_ROWS), dtype)
        scorer = self.scorer(coef, dtype)

        def compute(first: int, end: int) -> None:
            Z[first:end] = scorer(first, end)

        self.map_chunks(compute)
        return Z

    def rmatmul(self, R: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return R X: the backward pass, which gives a gradient.

        Args:
            R: (n_blocks, n_outputs, BLOCK_ROWS); padded rows are ignored.
            dtype: Type of the products and of their sums.

        Returns:
            (n_outputs, n_columns) float64.
        """
        return self._from_raw(*self._raw_products(R, dtype))

    def _raw_products(
        self, R: np.ndarray, dtype: DTypeLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the products of R with what `_tiles` yields, and the sums of R."""

        def chunk(first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
            r = R[first:end].astype(dtype)
            self._clear_padding(r, end)
            product: Any = 0.0
            for i, tile in self._tiles(first, end, dtype):
                for j, block in enumerate(tile, i - first):
                    product = product + np.matmul(r[j], block)
            return product.astype(float), r.sum(axis=(0, 2), dtype=float)

        product, total = sum_tuples(self.map_chunks(chunk))
        return product, total

    def map_scores(
        self,
        function: Callable[[np.ndarray, slice], np.ndarray],
        coef: np.ndarray,
        dtype: DTypeLike = np.float32,
    ) -> np.ndarray:
        """Return function(X coefᵀ)ᵀ X in a single pass over the data.

        Args:
            function: Called with the scores of some blocks, (n, n_outputs, BLOCK_ROWS),
                and the slice of these blocks; returns an array of the same shape.
            coef: (n_outputs, n_columns).
            dtype: Type of the products and of their sums.

        Returns:
            (n_outputs, n_columns) float64.
        """
        weights, shift = self._to_raw(coef, dtype)

        def chunk(first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
            product: Any = 0.0
            total: Any = 0.0
            for i, tile in self._tiles(first, end, dtype):
                Z = np.matmul(weights, tile.transpose(0, 2, 1))
                Z += shift
                r = function(Z, slice(i, i + len(tile)))
                self._clear_padding(r, i + len(tile))
                for values, block in zip(r, tile, strict=True):
                    product = product + np.matmul(values, block)
                total = total + r.sum(axis=(0, 2), dtype=float)
            return product.astype(float), total

        return self._from_raw(*sum_tuples(self.map_chunks(chunk)))

    def _to_raw(self, coef: np.ndarray, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights of what `_tiles` yields, and what is added to the scores."""
        weights, shift = coef[:, :-1], coef[:, -1]
        if self.is_bytes:  # the standardisation is applied to the weights
            weights = np.zeros((len(coef), len(self.varies)))
            weights[:, self.varies] = coef[:, :-1] / self._varying_scale
            shift = coef[:, -1] - weights @ self.mean
        return np.ascontiguousarray(weights, dtype), shift.astype(dtype)[:, None]

    def _from_raw(self, product: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return the products with the columns, from those with what `_tiles` yields."""
        if self.is_bytes:
            product -= np.outer(total, self.mean)
            product = product[:, self.varies] / self._varying_scale
        return np.column_stack([product, total])

    def gram(self) -> np.ndarray:
        """Return XᵀX, (n_columns, n_columns) float64.

        For bytes all sums are exact; only the centring and the scaling are rounded.
        """
        products, total = self._byte_gram() if self.is_bytes else self._float_gram()
        products -= np.outer(total, total / self.n_samples)
        if self.is_bytes:
            products /= np.outer(self._varying_scale, self._varying_scale)
        gram = np.zeros((self.n_columns, self.n_columns))
        gram[:-1, :-1], gram[-1, -1] = products, self.n_samples
        return gram

    def normal_equations(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ZᵀZ and ZᵀY, times n_samples, where Z are centred columns that vary.

        A column of bytes is not divided by its standard deviation, but by the power of two
        below. Then both are exact if n_samples² · 255² < 2⁵³ and Y are small whole numbers.

        Args:
            Y: (n_samples, n_targets).

        Returns:
            ZᵀZ: (n_columns - 1, n_columns - 1) float64.
            ZᵀY: (n_columns - 1, n_targets) float64.
            scale: (n_columns - 1,), the standard deviation of each column of Z.
        """
        n, blocks = self.n_samples, self.to_blocks(Y)
        sums = Y.sum(axis=0)
        if self.is_bytes:
            products, total = self._byte_gram()
            target = self._raw_products(blocks, float)[0][:, self.varies].T
            unit = np.ldexp(1.0, np.frexp(self._varying_scale)[1] - 1)
            scale = self._varying_scale / unit
        else:
            products, total = self._float_gram()
            target = self._raw_products(blocks, float)[0].T
            scale = unit = np.ones(len(total))
        gram = (n * products - np.outer(total, total)) / np.outer(unit, unit)
        return gram, (n * target - np.outer(total, sums)) / unit[:, None], scale

    def _byte_gram(self) -> tuple[np.ndarray, np.ndarray]:
        """Return UᵀU and the column sums of the varying columns U, both exact."""
        edges = np.flatnonzero(np.diff(self.varies, prepend=False, append=False))
        runs = list(zip(edges[::2], edges[1::2], strict=True))  # copied faster than masked

        def less_middle_grey(start: int, out: np.ndarray) -> None:
            U, column = self.X[start : start + EXACT_PRODUCTS], 0
            for a, b in runs:
                np.subtract(U[:, a:b], MIDDLE_GREY, out=out[:, column : column + b - a])
                column += b - a

        products, total = self._sum_products(less_middle_grey, np.float32)
        # Whole numbers below 2⁵³, so these are exactly the sums of the grey values.
        products += MIDDLE_GREY * (total + total[:, None])
        products += float(MIDDLE_GREY) ** 2 * self.n_samples
        total += float(MIDDLE_GREY) * self.n_samples
        return products, total

    def _float_gram(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ZᵀZ and the column sums of the standardised columns Z that vary."""

        def standardized(start: int, out: np.ndarray) -> None:
            U = self.X[start : start + EXACT_PRODUCTS]
            out[:] = self._standardize(U[:, self.varies], np.float64)

        return self._sum_products(standardized, np.float64)

    def _sum_products(
        self, fill: Callable[[int, np.ndarray], None], dtype: DTypeLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sum FᵀF and the columns of F over all rows.

        Args:
            fill: Writes the rows from `start` on into F, (at most EXACT_PRODUCTS,
                n_columns - 1).
            dtype: Type of F. The sums are float64.
        """
        n_varying = self.n_columns - 1

        def run(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            G, total = np.zeros((n_varying, n_varying)), np.zeros(n_varying)
            product = np.empty_like(G, dtype)
            rows = np.empty((EXACT_PRODUCTS, n_varying), dtype)
            for start in starts:
                F = rows[: min(EXACT_PRODUCTS, self.n_samples - start)]
                fill(start, F)
                G += np.matmul(F.T, F, out=product)
                total += F.sum(axis=0)
            return G, total

        starts = np.arange(0, self.n_samples, EXACT_PRODUCTS)
        parts = np.array_split(starts, len(self._parts))
        G, total = sum_tuples(self.pool.map(run, parts))
        return G, total

    def _moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean, scale and varies, (n_features,) each."""
        shift: Any = 0 if self.is_bytes else self.X[:SHIFT_ROWS].mean(axis=0, dtype=float)

        def of_bytes(first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
            F = self.X[first * BLOCK_ROWS : end * BLOCK_ROWS].astype(np.float32)
            parts = (F[i : i + EXACT_SQUARES] for i in range(0, len(F), EXACT_SQUARES))
            squares: Any = sum(np.einsum("ij,ij->j", x, x).astype(float) for x in parts)
            return F.sum(axis=0).astype(float), squares

        def of_floats(first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
            U = self.X[first * BLOCK_ROWS : end * BLOCK_ROWS].astype(float) - shift
            return U.sum(axis=0), np.einsum("ij,ij->j", U, U)

        moments = of_bytes if self.is_bytes else of_floats
        total, squares = sum_tuples(self.map_chunks(moments))
        n = self.n_samples
        variance = (n * squares - total**2) / n**2
        varies = variance > (0 if self.is_bytes else ROUNDING * squares / n)
        scale = np.where(varies, np.sqrt(np.maximum(variance, 0)), 1.0)
        return total / n + shift, scale, varies

    def _standardize(self, U: np.ndarray, dtype: DTypeLike) -> np.ndarray:
        """Return standardised rows; U: (n_rows, n_columns - 1), columns that vary."""
        U = U.astype(dtype if self.is_bytes else float)
        U -= self._varying_mean.astype(U.dtype)
        U *= (1 / self._varying_scale).astype(U.dtype)
        return U.astype(dtype, copy=False)

    def _tiles(
        self, first: int, end: int, dtype: DTypeLike
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index and the rows of the blocks, TILE_BLOCKS at a time.

        For bytes these are the raw pixels, else the standardised columns that vary, with
        rows of zeros at the end. The same array is filled each time.
        """
        columns = self.X.shape[1] if self.is_bytes else self.n_columns - 1
        tile = np.empty((TILE_BLOCKS, BLOCK_ROWS, columns), dtype)
        rows = tile.reshape(TILE_BLOCKS * BLOCK_ROWS, columns)
        for i in range(first, end, TILE_BLOCKS):
            stop = min(i + TILE_BLOCKS, end)
            U = self.X[i * BLOCK_ROWS : stop * BLOCK_ROWS]
            rows[: len(U)] = (
                U if self.is_bytes else self._standardize(U[:, self.varies], dtype)
            )
            rows[len(U) :] = 0
            yield i, tile[: stop - i]

    def _clear_padding(self, values: np.ndarray, end: int) -> None:
        """Set the padded rows to 0, if `values` reach to the last block."""
        if end == self.n_blocks and self.padding:
            values[-1, :, -self.padding :] = 0
