"""The standardised data matrix, computed block by block.

The data are grey values (uint8) or floats, in memory or memory-mapped. A standardised
copy would take four to eight times the memory. So the rows are standardised block by
block, or not at all: of bytes the raw pixels are multiplied, and the standardisation is
applied to the other factor of the product. Columns of bytes that are nearly always 0, such
as those at the border of an image, can be multiplied as a sparse matrix. All functions of a
`Segment` here are for operations on it (`rows`), each with a single-threaded BLAS.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from digits.memory import MIB
from digits.solvers.rows import BLOCK_ROWS, Applied, Rows, Segment

CHUNK_BLOCKS = 40  # blocks whose scores are computed at once, at most
TILE_BLOCKS = 2  # blocks that are converted at once, so that they stay in the cache
SHIFT_ROWS = 1000  # rows whose mean is subtracted from floats before they are squared
ROUNDING = 1e-12  # the share of a float column's mean square that may be rounding

RARE = 0.05  # the share of rows up to which a column is multiplied as a sparse one
COUNTED = 8  # that share is estimated from one row in so many
WORD = 4  # bytes that are copied at once, at most: this is faster than one by one
MOST_DENSE = 0.75  # of all columns, up to which the others are multiplied as sparse ones
MOST_COPIED = 128 * MIB  # of the other columns, up to which a copy is kept

GRAM_ROWS = 1000  # rows of a product

# float32 sums whole numbers exactly up to 2²⁴. So many squares of bytes can be summed:
EXACT_SQUARES = 256  # 256 · 255² < 2²⁴
# and so many products of bytes from which the middle grey value was subtracted:
MIDDLE_GREY, EXACT_PRODUCTS = np.float32(128), 1024  # 1024 · 128² = 2²⁴


class Weights(NamedTuple):
    """Coefficients as `scores` takes them.

    Attributes:
        weights: (n_outputs, n_features) of raw pixels, or those of the dense columns alone;
            or (n_outputs, n_columns - 1) of standardised columns.
        rare: (n_rare, n_outputs), of the sparse columns.
        shift: (n_outputs, 1), what is added to the scores.
    """

    weights: np.ndarray
    rare: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Layout:
    """Which columns of bytes are multiplied as a dense matrix, and which as a sparse one.

    Attributes:
        word: Bytes of a word, which divides a row.
        words: The words of a row with a dense column.
        dense: (n_dense,) the columns of these words.
        rare: (n_rare,) the columns that are multiplied as sparse ones.
        is_copied: Whether each segment keeps a copy of the dense columns, which is faster.
    """

    word: int
    words: np.ndarray
    dense: np.ndarray
    rare: np.ndarray
    is_copied: bool

    @classmethod
    def of(cls, share: np.ndarray, varies: np.ndarray, n_samples: int) -> Self | None:
        """Return the layout of columns; None if nearly all are dense.

        Args:
            share: (n_features,) of the rows in which each column is not 0, estimated.
            varies: (n_features,) bool, false for a column that is not needed.
            n_samples: Number of rows.
        """
        word = math.gcd(WORD, len(share))
        needed = ((share > RARE) & varies).reshape(-1, word).any(axis=1)
        is_dense = np.repeat(needed, word)
        if is_dense.mean() > MOST_DENSE:
            return None
        return cls(
            word,
            np.flatnonzero(needed),
            np.flatnonzero(is_dense),
            np.flatnonzero(varies & ~is_dense),
            n_samples * int(is_dense.sum()) <= MOST_COPIED,
        )

    def take(self, pixels: np.ndarray) -> np.ndarray:
        """Return the dense columns of rows, (n_rows, n_dense) uint8."""
        words = np.ascontiguousarray(pixels).view(f"u{self.word}")
        return np.take(words, self.words, axis=1, mode="clip").view(np.uint8)


class Rare(NamedTuple):
    """The sparse columns of some blocks, float32, with rows of zeros at the end.

    Attributes:
        rows: (n_rows, n_rare).
        columns: The same, transposed.
    """

    rows: sparse.csr_array
    columns: sparse.csc_array


@dataclass(frozen=True)
class Columns:
    """How columns are standardised.

    Attributes:
        is_bytes: Whether the pixels are bytes.
        mean: (n_features,) float64, of each column.
        scale: (n_features,) float64, the standard deviation; 1 for a constant column.
        varies: (n_features,) bool, false for a constant column.
        layout: Of bytes, which columns are sparse; None: all are multiplied as dense ones.
    """

    is_bytes: bool
    mean: np.ndarray
    scale: np.ndarray
    varies: np.ndarray
    layout: Layout | None = None

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
        rare = weights[:, :0]
        if self.layout:
            weights, rare = weights[:, self.layout.dense], weights[:, self.layout.rare]
        return Weights(
            np.ascontiguousarray(weights, dtype),
            np.ascontiguousarray(rare.T, dtype),
            shift.astype(dtype)[:, None],
        )

    def from_raw(self, product: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return R X, (n_outputs, n_columns) float64.

        Args:
            product: The products of R with what `tiles` yields, and with sparse columns.
            total: The sums of R, (n_outputs,).
        """
        if self.layout:
            found, product = product, np.zeros((len(total), len(self.varies)))
            product[:, np.concatenate([self.layout.dense, self.layout.rare])] = found
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

    For bytes these are the raw pixels, or the dense columns of them; else the standardised
    columns that vary, with rows of zeros at the end. The same array is filled each time.
    """
    columns, pixels, layout = segment.columns, segment.pixels, segment.columns.layout
    width = len(columns.varies) if columns.is_bytes else int(columns.varies.sum())
    if layout:
        width = len(layout.dense)
    if layout and layout.is_copied:
        pixels = segment.kept.get("dense")
        if pixels is None:
            pixels = segment.kept["dense"] = layout.take(segment.pixels)
    tile = np.empty((TILE_BLOCKS, BLOCK_ROWS, width), dtype)
    rows = tile.reshape(TILE_BLOCKS * BLOCK_ROWS, width)
    for i in range(blocks.start, blocks.stop, TILE_BLOCKS):
        stop = min(i + TILE_BLOCKS, blocks.stop)
        U = pixels[i * BLOCK_ROWS : stop * BLOCK_ROWS]
        if layout and not layout.is_copied:
            U = layout.take(U)
        rows[: len(U)] = U if columns.is_bytes else columns.standardize(U, dtype)
        if len(U) < len(rows):
            rows[len(U) :] = 0
        yield i - blocks.start, tile[: stop - i]


def _rare(segment: Segment, blocks: slice) -> Rare | None:
    """Return the sparse columns of some blocks, which are kept; None if there are none."""
    layout = segment.columns.layout
    if not layout or not len(layout.rare):
        return None
    found = segment.kept.get((blocks.start, blocks.stop))
    if found is None:
        U = segment.pixels[blocks.start * BLOCK_ROWS : blocks.stop * BLOCK_ROWS]
        rows = sparse.csr_array(U[:, layout.rare]).astype(np.float32)
        rows.resize((blocks.stop - blocks.start) * BLOCK_ROWS, len(layout.rare))
        found = segment.kept[blocks.start, blocks.stop] = Rare(rows, rows.T)
    return found


def rare_scores(segment: Segment, blocks: slice, weights: Weights) -> Any:
    """Return what the sparse columns of some blocks add to the scores, or 0.

    Returns:
        (n_blocks, n_outputs, BLOCK_ROWS), a view of another order.
    """
    rare = _rare(segment, blocks)
    if rare is None:
        return 0
    Z = rare.rows @ weights.rare
    return Z.reshape(-1, BLOCK_ROWS, Z.shape[1]).transpose(0, 2, 1)


def with_rare_product(
    segment: Segment, blocks: slice, R: np.ndarray, product: np.ndarray
) -> np.ndarray:
    """Return the product of R with some blocks: what is given, and the sparse columns'.

    Args:
        segment: The rows.
        blocks: Which of its blocks.
        R: (n_blocks, n_outputs, BLOCK_ROWS), 0 for padded rows.
        product: (n_outputs, n_dense), of R with the dense columns.

    Returns:
        (n_outputs, n_dense + n_rare) float64.
    """
    product = product.astype(float)
    rare = _rare(segment, blocks)
    if rare is None:
        return product
    by_row = R.transpose(0, 2, 1).reshape(-1, R.shape[1])
    return np.hstack([product, (rare.columns @ by_row).T])


def scores(segment: Segment, blocks: slice, weights: Weights) -> np.ndarray:
    """Return the scores of some blocks: the forward pass.

    Returns:
        (n_blocks, n_outputs, BLOCK_ROWS), 0 for padded rows.
    """
    raw = weights.weights
    Z = np.empty((blocks.stop - blocks.start, len(raw), BLOCK_ROWS), raw.dtype)
    for i, tile in tiles(segment, blocks, raw.dtype):
        np.matmul(raw, tile.transpose(0, 2, 1), out=Z[i : i + len(tile)])
    Z += rare_scores(segment, blocks, weights)
    Z += weights.shift
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
    product = with_rare_product(segment, blocks, r, product)
    return product, r.sum(axis=(0, 2), dtype=float)


def weighted_gram(columns: Columns, pixels: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Return FᵀF, where F are standardised rows with a column of ones, times `root`.

    Args:
        columns: How columns are standardised.
        pixels: (n_rows, n_features).
        root: (n_rows,) float32.

    Returns:
        (n_columns, n_columns) float32.
    """
    layout, n_columns = columns.layout, int(columns.varies.sum()) + 1
    width = len(layout.dense) if layout else n_columns - 1
    G = np.zeros((width + 1, width + 1), np.float32)
    with_dense: Any = 0
    with_rare: Any = 0
    for start in range(0, len(pixels), GRAM_ROWS):
        U, r = pixels[start : start + GRAM_ROWS], root[start : start + GRAM_ROWS, None]
        F = np.empty((len(U), width + 1), np.float32)
        if layout:
            F[:, :-1] = layout.take(U)
            F[:, :-1] -= columns.mean[layout.dense].astype(np.float32)
            F[:, :-1] *= (1 / columns.scale[layout.dense]).astype(np.float32)
            S = sparse.csr_array(U[:, layout.rare]).astype(np.float32)
            S.data *= np.repeat(r.ravel(), np.diff(S.indptr))
        else:
            F[:, :-1] = columns.standardize(U, np.float32)
        F[:, -1] = 1
        F *= r
        G += F.T @ F
        if layout:
            with_dense = with_dense + S.T @ F
            with_rare = with_rare + (S.T @ S).toarray()
    if not layout:
        return G
    # Sparse columns are raw pixels u up to here, and shall be (u - mean) / scale.
    mean, scale = (
        values[layout.rare, None].astype(np.float32)
        for values in (columns.mean, columns.scale)
    )
    total = with_dense[:, -1:]
    with_rare = with_rare - mean * total.T - total * mean.T + mean * mean.T * G[-1, -1]
    with_dense = (with_dense - mean * G[-1]) / scale
    G = np.block([[G, with_dense.T], [with_dense, with_rare / (scale * scale.T)]])
    place = np.full(len(columns.varies) + 1, -1)  # of each column in G
    place[np.concatenate([layout.dense, [-1], layout.rare])] = np.arange(len(G))
    kept = place[np.append(np.flatnonzero(columns.varies), -1)]
    return G[np.ix_(kept, kept)]


class StandardizedMatrix:
    """The standardised columns that vary, and a column of ones for the intercept.

    Args:
        rows: The rows.
        is_passed_often: Whether so many products follow that it is worth while to find
            columns of bytes that are nearly always 0, and to keep them as a sparse matrix.

    Attributes:
        rows: As given.
        columns: How columns are standardised.
        n_samples: Number of rows.
        n_columns: Number of columns that vary, plus one for the intercept.
    """

    def __init__(self, rows: Rows, *, is_passed_often: bool = False) -> None:
        self.rows, self.n_samples = rows, rows.n_samples
        shift: Any = 0
        if not rows.is_bytes:
            (shift,) = rows.sum(_mean_of_first_rows)
        total, squares = rows.sum(_moments, shift)
        n = self.n_samples
        variance = (n * squares - total**2) / n**2
        varies = variance > (0 if rows.is_bytes else ROUNDING * squares / n)
        scale = np.where(varies, np.sqrt(np.maximum(variance, 0)), 1.0)
        layout = None
        if rows.is_bytes and is_passed_often:
            count, counted = rows.sum(_nonzeros)
            layout = Layout.of(count / counted, varies, n)
        self.columns = Columns(rows.is_bytes, total / n + shift, scale, varies, layout)
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


def _nonzeros(segment: Segment) -> tuple[Any, ...]:
    """Count the values that are not 0 in each column, in some of the rows."""
    U = segment.pixels[::COUNTED]
    return (np.count_nonzero(U, axis=0), len(U))


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
