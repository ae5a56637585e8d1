"""The rows of a matrix in segments, and operations on them.

A solver works with a matrix of many rows and with coefficients, which are small. All that
has as many rows as the matrix stays in `Segment`s: the rows themselves, targets, scores,
residuals. An operation is a function of a segment and of small arguments, which returns
partial sums and, for `Rows.step`, the segment with what it computed. So the same solver
runs on threads (`LocalRows`) and on a Dask cluster (`dask_rows`), where only what has the
size of the coefficients or of a Gram matrix travels.

The borders of the segments depend on the number of rows alone, and sums are added in the
order of a binary tree over the segments. So the number of threads or workers changes no
bit. Segments are values: an operation changes none. So one that is lost with its worker can
be computed again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

BLOCK_ROWS = 120  # rows of a product: few enough for OpenBLAS's kernels without packing
SEGMENT_BLOCKS = 128  # blocks of a segment, unless that gives too many or too few segments
MIN_SEGMENTS, MAX_SEGMENTS = 8, 1024  # powers of two; fewer blocks are as many segments


@dataclass(frozen=True)
class Segment:
    """Consecutive rows, and all that belongs to them.

    Scores and residuals are stored in blocks: (n_blocks, n_outputs, BLOCK_ROWS). The last
    block of the last segment is padded.

    Attributes:
        number: Its place among the segments, from 0.
        pixels: (n_rows, n_features) uint8 or float: an array, or `dask_rows.MappedRows`.
        y: (n_rows, ...), what the rows are to give.
        columns: How columns are standardised (`standardized.Columns`), once it is known.
        state: What an objective keeps of the rows.
        kept: What was computed from the pixels and the columns, and need not be again.
    """

    number: int
    pixels: Any
    y: np.ndarray
    columns: Any = None
    state: Any = None
    kept: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-len(self.pixels) // BLOCK_ROWS)

    @property
    def padding(self) -> int:
        """Number of padded rows in the last block."""
        return self.n_blocks * BLOCK_ROWS - len(self.pixels)


class Applied(NamedTuple):
    """What an operation returns: the segment with its results, and partial sums.

    The sums are numbers or arrays that nothing else holds; others are added to them.
    """

    segment: Segment
    sums: tuple[Any, ...] = ()


Operation = Callable[..., Applied]
Summation = Callable[..., tuple[Any, ...]]


def borders(n_samples: int) -> list[int]:
    """Return where the segments of so many rows begin, and the number of rows."""
    n_blocks = -(-n_samples // BLOCK_ROWS)
    wanted = min(max(n_blocks // SEGMENT_BLOCKS, MIN_SEGMENTS), MAX_SEGMENTS, n_blocks)
    n_segments = 1 << (wanted.bit_length() - 1)
    starts = [i * n_blocks // n_segments * BLOCK_ROWS for i in range(n_segments)]
    return [*starts, n_samples]


class TreeSum:
    """Adds tuples in the order of a binary tree, whatever came together in which part.

    A leaf of the tree is a segment. The sum of an aligned group of 2, 4, 8, … segments is
    that of its two halves; the last leaves may lack partners, which are added from right to
    left at the end.
    """

    def __init__(self) -> None:
        self._nodes: list[tuple[int, int, list[Any]]] = []  # (first leaf, size, sums)

    def add(self, first: int, size: int, sums: Iterable[Any]) -> None:
        """Add the sums of `size` segments from `first` on, the next ones in order."""
        node = (first, size, list(sums))
        while self._nodes:
            before, width, left = self._nodes[-1]
            if width != node[1] or before % (2 * width):
                break
            self._nodes.pop()
            node = (before, 2 * width, _add(left, node[2]))
        self._nodes.append(node)

    def nodes(self) -> list[tuple[int, int, list[Any]]]:
        """Return the sums of the largest aligned groups: first segment, size, sums."""
        return self._nodes

    def total(self) -> list[Any]:
        """Return the sum of all."""
        *rest, (_, _, total) = self._nodes
        for _, _, sums in reversed(rest):
            total = _add(sums, total)
        return total


def _add(left: list[Any], right: list[Any]) -> list[Any]:
    """Return the sums, item by item; arrays on the left are reused where they may be."""
    return [
        np.add(a, b, out=a)
        if isinstance(a, np.ndarray) and a.shape and a.flags.writeable
        else a + b
        for a, b in zip(left, right, strict=True)
    ]


def quiet() -> np.errstate:
    """Return a context for operations: a probability may be 0 or 1."""
    return np.errstate(over="ignore", under="ignore")


class Rows(ABC):
    """All rows of a matrix.

    Args:
        X: (n_samples, ...) uint8 or float, flattened to (n_samples, n_features).
        pool: Threads of this process.

    Attributes:
        n_samples: Number of rows.
        is_bytes: Whether X is uint8.
        pool: As given; for work that has the size of the coefficients.
    """

    def __init__(self, X: np.ndarray, pool: ThreadPoolExecutor) -> None:
        self.n_samples, self.is_bytes, self.pool = len(X), X.dtype == np.uint8, pool

    @abstractmethod
    def sum(self, operation: Summation, *arguments: Any) -> list[Any]:
        """Apply `operation(segment, *arguments)` to each segment; return the sums."""

    @abstractmethod
    def step(self, operation: Operation, *arguments: Any, fresh: bool = False) -> list[Any]:
        """The same for an operation that returns segments, which replace the old ones.

        Args:
            operation: The operation.
            arguments: What it takes after the segment.
            fresh: Whether the operation needs only the pixels and y of a segment, so that
                all else can be forgotten.
        """


class LocalRows(Rows):
    """Rows in this process, whose segments are shared by threads.

    Args:
        X: (n_samples, ...) uint8 or float, may be memory-mapped.
        y: (n_samples, ...).
        pool: The threads.

    Attributes:
        segments: In their order.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, pool: ThreadPoolExecutor) -> None:
        super().__init__(X, pool)
        X, ends = X.reshape(len(X), -1), borders(len(X))
        parts = [slice(*pair) for pair in pairwise(ends)]
        self.segments = [Segment(i, X[rows], y[rows]) for i, rows in enumerate(parts)]

    def sum(self, operation: Summation, *arguments: Any) -> list[Any]:
        """Apply an operation to each segment; return the sums."""

        def apply(segment: Segment) -> tuple[Any, ...]:
            with quiet():
                return operation(segment, *arguments)

        return self._total(self.pool.map(apply, self.segments))

    def step(
        self,
        operation: Operation,
        *arguments: Any,
        fresh: bool = False,  # noqa: ARG002 (nothing is ever lost)
    ) -> list[Any]:
        """Apply an operation to each segment, and keep the results."""

        def apply(number: int) -> tuple[Any, ...]:
            with quiet():
                applied = operation(self.segments[number], *arguments)
            self.segments[number] = applied.segment
            return applied.sums

        return self._total(self.pool.map(apply, range(len(self.segments))))

    def _total(self, parts: Iterable[tuple[Any, ...]]) -> list[Any]:
        total = TreeSum()
        for number, sums in enumerate(parts):
            total.add(number, 1, sums)
        return total.total()


def rows_of(X: np.ndarray, y: np.ndarray, pool: ThreadPoolExecutor, client: Any) -> Rows:
    """Return rows on the workers of a `distributed.Client`, or in this process if None."""
    if client is None:
        return LocalRows(X, y, pool)
    from digits.solvers.dask_rows import DaskRows  # noqa: PLC0415 (an extra, imported only if used)

    return DaskRows(X, y, pool, client)
