"""The standardised data matrix, computed block by block.

The data are grey values (uint8) or floats, in memory or memory-mapped. A standardised
copy would take four to eight times the memory. So the rows are standardised block by
block, or not at all: of bytes the raw pixels are multiplied, and the standardisation is
applied to the other factor of the product. All functions of a `Segment` here are for
operations on it (`rows`), each with a single-threaded BLAS.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from digits.solvers.rows import BLOCK_ROWS, Applied, Rows, Segment

CHUNK_BLOCKS = 40  # blocks whose scores are computed at once, at most
TILE_BLOCKS = 2  # blocks that are converted at once, so that they stay in the cache
SHIFT_ROWS = 1000  # rows whose mean is subtracted from floats before they are squared
ROUNDING = 1e-12  # the share of a float column's mean square that may be rounding

# float32 sums whole numbers exactly up to 2²⁴. So many squares of bytes can be summed:
EXACT_SQUARES = 256  # 256 · 255² < 2²⁴
# and so many products of bytes from which the middle grey value was subtracted:
MIDDLE_GREY, EXACT_PRODUCTS = np.float32(128), 1024  # 1024 · 128² = 2²⁴


class Weights(NamedTuple):
    """Coefficients as `scores` takes them.

    Attributes:
        weights: (n_outputs, n_features) of raw pixels, or (n_outputs, n_columns - 1) of
            standardised columns.
        shift: (n_outputs, 1), what is added to the scores.
    """

    weights: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Columns:
    """How columns are standardised.

    Attributes:
        is_bytes: Whether the pixels are bytes.
        mean: (n_features,) float64, of each column.
        scale: (n_features,) float64, the standard deviation; 1 for a constant column.
        varies: (n_features,) bool, false for a constant column.
    """

    is_bytes: bool
    mean: np.ndarray
    scale: np.ndarray
    varies: np.ndarray

    def to_raw(self, coef: np.ndarray, dtype: DTypeLike) -> Weights:
        """Return the weights of what `tiles` yields.

        Args:
            coef: (n_outputs, n_columns), the last column being the intercept.
            dtype: Type in which scores are computed.
        """
        weights, shift = coef[:, :-1], coef[:, -1]
        if self.is_bytes:  # the standardisation is applied to the weights
            weights = np.zeros((len(coef), len(self.varies)))
            weights[:, self.varies] = coef[:, :-1] / self.scale[self.varies]
            shift = coef[:, -1] - weights @ self.mean
        return Weights(np.ascontiguousarray(weights, dtype), shift.astype(dtype)[:, None])

    def from_raw(self, product: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return R X, (n_outputs, n_columns) float64.

        Args:
            product: The products of R with what `tiles` yields.
            total: The sums of R, (n_outputs,).
        """
        if self.is_bytes:
            product = product - np.outer(total, self.mean)
            product = product[:, self.varies] / self.scale[self.varies]
        return np.column_stack([product, total])

    def standardize(self, U: np.ndarray, dtype: DTypeLike) -> np.ndarray:
        """Return the standardised columns that vary; U: (n_rows, n_features)."""
        U = U[:, self.varies].astype(dtype if self.is_bytes else float)
        U -= self.mean[self.varies].astype(U.dtype)
        U *= (1 / self.scale[self.varies]).astype(U.dtype)
        return U.astype(dtype, copy=False)


def chunks(segment: Segment) -> Iterator[slice]:
    """Yield the blocks of a segment, CHUNK_BLOCKS at a time."""
    for first in range(0, segment.n_blocks, CHUNK_BLOCKS):
        yield slice(first, min(first + CHUNK_BLOCKS, segment.n_blocks))


def to_blocks(segment: Segment, values: np.ndarray) -> np.ndarray:
    """Arrange values of the rows in blocks, padded with zeros.

    Args:
        segment: The rows.
        values: (n_rows, n_outputs).

    Returns:
        (n_blocks, n_outputs, BLOCK_ROWS), of the same type.
    """
    blocks = np.zeros((segment.n_blocks * BLOCK_ROWS, values.shape[1]), values.dtype)
    blocks[: len(values)] = values
    blocks = blocks.reshape(segment.n_blocks, BLOCK_ROWS, -1)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1))


def clear_padding(segment: Segment, blocks: slice, values: np.ndarray) -> None:
    """Set the padded rows to 0 in the values of some blocks."""
    if blocks.stop == segment.n_blocks and segment.padding:
        values[-1, :, -segment.padding :] = 0


def tiles(
    segment: Segment, blocks: slice, dtype: DTypeLike
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index and the rows of the blocks, TILE_BLOCKS at a time.

    For bytes these are the raw pixels, else the standardised columns that vary, with rows
    of zeros at the end. The same array is filled each time.
    """
    columns, pixels = segment.columns, segment.pixels
    width = len(columns.varies) if columns.is_bytes else int(columns.varies.sum())
    tile = np.empty((TILE_BLOCKS, BLOCK_ROWS, width), dtype)
    rows = tile.reshape(TILE_BLOCKS * BLOCK_ROWS, width)
    for i in range(blocks.start, blocks.stop, TILE_BLOCKS):
        stop = min(i + TILE_BLOCKS, blocks.stop)
        U = pixels[i * BLOCK_ROWS : stop * BLOCK_ROWS]
        rows[: len(U)] = U if columns.is_bytes else columns.standardize(U, dtype)
        if len(U) < len(rows):
            rows[len(U) :] = 0
        yield i - blocks.start, tile[: stop - i]


def scores(segment: Segment, blocks: slice, weights: Weights) -> np.ndarray:
    """Return the scores of some blocks: the forward pass.

    Returns:
        (n_blocks, n_outputs, BLOCK_ROWS), 0 for padded rows.
    """
    raw, shift = weights
    Z = np.empty((blocks.stop - blocks.start, len(raw), BLOCK_ROWS), raw.dtype)
    for i, tile in tiles(segment, blocks, raw.dtype):
        np.matmul(raw, tile.transpose(0, 2, 1), out=Z[i : i + len(tile)])
    Z += shift
    clear_padding(segment, blocks, Z)
    return Z


def rmatmul(
    segment: Segment, blocks: slice, R: np.ndarray, dtype: DTypeLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return the product of R with some blocks: the backward pass.

    Args:
        segment: The rows.
        blocks: Which of its blocks.
        R: (n_blocks, n_outputs, BLOCK_ROWS); padded rows are ignored.
        dtype: Type of the products and of their sums.

    Returns:
        What `Columns.from_raw` takes, float64.
    """
    r = R.astype(dtype)
    clear_padding(segment, blocks, r)
    product: Any = 0.0
    for i, tile in tiles(segment, blocks, dtype):
        for j, block in enumerate(tile, i):
            product = product + np.matmul(r[j], block)
    return product.astype(float), r.sum(axis=(0, 2), dtype=float)


def with_intercept(columns: Columns, pixels: np.ndarray) -> np.ndarray:
    """Return standardised rows with a column of ones, (n_rows, n_columns) float32."""
    U = columns.standardize(pixels, np.float32)
    rows = np.ones((len(U), U.shape[1] + 1), np.float32)
    rows[:, :-1] = U
    return rows


class StandardizedMatrix:
    """The standardised columns that vary, and a column of ones for the intercept.

    Args:
        rows: The rows.

    Attributes:
        rows: As given.
        columns: How columns are standardised.
        n_samples: Number of rows.
        n_columns: Number of columns that vary, plus one for the intercept.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows, self.n_samples = rows, rows.n_samples
        shift: Any = 0
        if not rows.is_bytes:
            (shift,) = rows.sum(_mean_of_first_rows)
        total, squares = rows.sum(_moments, shift)
        n = self.n_samples
        variance = (n * squares - total**2) / n**2
        varies = variance > (0 if rows.is_bytes else ROUNDING * squares / n)
        scale = np.where(varies, np.sqrt(np.maximum(variance, 0)), 1.0)
        self.columns = Columns(rows.is_bytes, total / n + shift, scale, varies)
        self.n_columns = int(varies.sum()) + 1
        rows.step(_set_columns, self.columns)

    def to_full_coef(self, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coefficients of all features and the intercepts.

        Args:
            coef: (n_outputs, n_columns), the last column being the intercept.

        Returns:
            (n_outputs, n_features), 0 for a constant feature, and (n_outputs,).
        """
        varies = self.columns.varies
        full = np.zeros((len(coef), len(varies)))
        full[:, varies] = coef[:, :-1]
        return full, coef[:, -1].copy()

    def gram(self) -> np.ndarray:
        """Return XᵀX, (n_columns, n_columns) float64.

        For bytes all sums are exact; only the centring and the scaling are rounded.
        """
        products, total = self._products()
        products -= np.outer(total, total / self.n_samples)
        if self.columns.is_bytes:
            scale = self.columns.scale[self.columns.varies]
            products /= np.outer(scale, scale)
        gram = np.zeros((self.n_columns, self.n_columns))
        gram[:-1, :-1], gram[-1, -1] = products, self.n_samples
        return gram

    def normal_equations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ZᵀZ and ZᵀY, times n_samples, where Z are centred columns that vary.

        Y are the `y` of the rows, (n_samples, n_targets) float64. A column of bytes is not
        divided by its standard deviation, but by the power of two below. Then both are
        exact if n_samples² · 255² < 2⁵³ and Y are small whole numbers.

        Returns:
            ZᵀZ: (n_columns - 1, n_columns - 1) float64.
            ZᵀY: (n_columns - 1, n_targets) float64.
            scale: (n_columns - 1,), the standard deviation of each column of Z.
        """
        n, columns = self.n_samples, self.columns
        products, total = self._products()
        target, sums = self.rows.sum(_target_products)
        target = target.T
        scale = unit = np.ones(len(total))
        if columns.is_bytes:
            target, scale = target[columns.varies], columns.scale[columns.varies]
            unit = np.ldexp(1.0, np.frexp(scale)[1] - 1)
            scale = scale / unit
        gram = (n * products - np.outer(total, total)) / np.outer(unit, unit)
        return gram, (n * target - np.outer(total, sums)) / unit[:, None], scale

    def _products(self) -> tuple[np.ndarray, np.ndarray]:
        """Return UᵀU and the column sums of the varying columns U.

        U are the grey values, or the standardised columns of floats. Of bytes both are
        exact.
        """
        products, total = self.rows.sum(_gram)
        if self.columns.is_bytes:
            # Whole numbers below 2⁵³, so these are exactly the sums of the grey values.
            products += MIDDLE_GREY * (total + total[:, None])
            products += float(MIDDLE_GREY) ** 2 * self.n_samples
            total += float(MIDDLE_GREY) * self.n_samples
        return products, total


def _set_columns(segment: Segment, columns: Columns) -> Applied:
    return Applied(replace(segment, columns=columns))


def _mean_of_first_rows(segment: Segment) -> tuple[Any, ...]:
    """Return the mean of the first rows of all, which are in the first segment."""
    mean = segment.pixels[:SHIFT_ROWS].mean(axis=0, dtype=float)
    return (mean if segment.number == 0 else np.zeros_like(mean),)


def _moments(segment: Segment, shift: Any) -> tuple[Any, ...]:
    """Sum the columns, less `shift`, and their squares."""
    total: Any = 0.0
    squares: Any = 0.0
    for blocks in chunks(segment):
        U = segment.pixels[blocks.start * BLOCK_ROWS : blocks.stop * BLOCK_ROWS]
        if U.dtype == np.uint8:
            F = U.astype(np.float32)
            total = total + F.sum(axis=0).astype(float)
            for i in range(0, len(F), EXACT_SQUARES):
                x = F[i : i + EXACT_SQUARES]
                squares = squares + np.einsum("ij,ij->j", x, x).astype(float)
        else:
            F = U.astype(float) - shift
            total = total + F.sum(axis=0)
            squares = squares + np.einsum("ij,ij->j", F, F)
    return (total, squares)


def _gram(segment: Segment) -> tuple[Any, ...]:
    """Sum FᵀF and the columns of F: bytes less the middle grey, or standardised floats."""
    fill, dtype = _filler(segment)
    width = int(segment.columns.varies.sum())
    G, total = np.zeros((width, width)), np.zeros(width)
    product = np.empty_like(G, dtype)
    rows = np.empty((EXACT_PRODUCTS, width), dtype)
    for start in range(0, len(segment.pixels), EXACT_PRODUCTS):
        U = segment.pixels[start : start + EXACT_PRODUCTS]
        F = rows[: len(U)]
        fill(U, F)
        G += np.matmul(F.T, F, out=product)
        total += F.sum(axis=0)
    return (G, total)


def _filler(
    segment: Segment,
) -> tuple[Callable[[np.ndarray, np.ndarray], None], DTypeLike]:
    """Return the function that writes rows of F from rows of pixels, and the type of F."""
    columns = segment.columns
    edges = np.flatnonzero(np.diff(columns.varies, prepend=False, append=False))
    runs = list(zip(edges[::2], edges[1::2], strict=True))  # copied faster than masked

    def less_middle_grey(U: np.ndarray, out: np.ndarray) -> None:
        column = 0
        for a, b in runs:
            np.subtract(U[:, a:b], MIDDLE_GREY, out=out[:, column : column + b - a])
            column += b - a

    def standardized(U: np.ndarray, out: np.ndarray) -> None:
        out[:] = columns.standardize(U, float)

    return (
        (less_middle_grey, np.float32) if columns.is_bytes else (standardized, np.float64)
    )


def _target_products(segment: Segment) -> tuple[Any, ...]:
    """Sum yᵀ times what `tiles` yields, and y."""
    Y = to_blocks(segment, segment.y)
    product: Any = 0.0
    total: Any = 0.0
    for blocks in chunks(segment):
        part = rmatmul(segment, blocks, Y[blocks], float)
        product, total = product + part[0], total + part[1]
    return (product, total)
