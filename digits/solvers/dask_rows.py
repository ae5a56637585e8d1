"""Rows on the workers of a Dask cluster.

The segments are divided into parts of consecutive ones, about as many as the workers have
threads. Each part is a chain of tasks: an operation takes the part as the operation before
has left it. Dask runs it where that is, and if its worker is lost, computes the chain again
elsewhere. A part returns the sums of whole groups in the tree of all segments, so how the
segments are divided changes no bit.

Rows in a file that all workers see, with the same content, are mapped into memory there.
Others are sent once, through the scheduler, which keeps them in its memory.
"""

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from threadpoolctl import threadpool_limits

from digits import cluster
from digits.errors import InputError
from digits.solvers.rows import (
    MAX_SEGMENTS,
    Operation,
    Rows,
    Segment,
    Summation,
    TreeSum,
    borders,
    quiet,
)

GATHERED = 8  # parts whose sums are fetched at once, which bounds the client's memory

Node = tuple[int, int, list[Any]]  # of `TreeSum`

log = logging.getLogger(__name__)


class MappedRows:
    """Rows of an array in a file, which is mapped into memory when they are read.

    Args:
        file: The file, the same on each worker.
        offset: Where in the file the rows begin, in bytes.
        shape: (n_rows, n_features).
        dtype: Their type.
    """

    def __init__(
        self, file: cluster.File, offset: int, shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self.file, self.offset, self.shape, self.dtype = file, offset, shape, dtype

    @classmethod
    def of(cls, X: np.ndarray) -> Self | None:
        """Return where X lies in a file, or None if it is not a whole part of one."""
        root = X
        while isinstance(root.base, np.memmap):
            root = root.base
        if not isinstance(root, np.memmap) or not root.filename or not X.flags.c_contiguous:
            return None
        start = X.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        file = cluster.File.of(Path(root.filename).absolute())
        return cls(file, root.offset + start, X.shape, X.dtype)

    def part(self, first: int, end: int) -> "MappedRows":
        """Return the rows from `first` to before `end`."""
        n_features = self.shape[1]
        offset = self.offset + first * n_features * self.dtype.itemsize
        return MappedRows(self.file, offset, (end - first, n_features), self.dtype)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return rows, by a slice or by their numbers.

        Raises:
            cluster.NotSeenError: The file is not there, or has changed.
        """
        state = self.file.state()
        return _mapped(self.file.path, state, self.offset, self.shape, self.dtype)[rows]


@lru_cache(maxsize=2 * MAX_SEGMENTS)
def _mapped(
    path: str, _state: tuple[int, int], offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Map a part of a file, once for each state of the file."""
    return np.memmap(path, dtype, "r", offset, shape)


@dataclass(frozen=True)
class Part:
    """Consecutive segments, and the sums of the operation that made them."""

    segments: tuple[Segment, ...]
    nodes: list[Node]

    def __sizeof__(self) -> int:
        """Return the bytes of all arrays: Dask asks before it moves a part."""
        return _n_bytes(self)


def _n_bytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple | list):
        return sum(map(_n_bytes, value))
    if is_dataclass(value):
        return sum(_n_bytes(getattr(value, field.name)) for field in fields(value))
    return 64


class DaskRows(Rows):
    """Rows on a cluster.

    Args:
        X: (n_samples, ...) uint8 or float, may be memory-mapped.
        y: (n_samples, ...).
        pool: Threads of this process, for work that has the size of the coefficients.
        client: A `distributed.Client`.

    Attributes:
        client: As given.
        n_trips: How often all parts were asked for something.
    """

    def __init__(
        self, X: np.ndarray, y: np.ndarray, pool: ThreadPoolExecutor, client: Any
    ) -> None:
        super().__init__(X, pool)
        self.client, self.n_trips = client, 0
        self._X, self._y, self._borders = X.reshape(len(X), -1), y, borders(len(X))
        self._file = MappedRows.of(self._X)
        self._opened: list[Any] = []
        self._parts: list[Any] = []
        self._is_checked = False
        self._open()
        if self._file:
            self._send_if_not_seen()
        self._is_checked = True

    def sum(self, operation: Summation, *arguments: Any) -> list[Any]:
        """Apply an operation to each segment; return the sums."""
        return self._total(
            [
                cluster.submit(self.client, sum_part, part, operation, arguments)
                for part in self._parts
            ]
        )

    def step(self, operation: Operation, *arguments: Any, fresh: bool = False) -> list[Any]:
        """Apply an operation to each segment, and keep the results."""
        if fresh:
            self._open()
        self._parts = [
            cluster.submit(self.client, apply_to_part, part, operation, arguments)
            for part in self._parts
        ]
        return self._total(
            [cluster.submit(self.client, nodes_of_part, part) for part in self._parts]
        )

    def _send_if_not_seen(self) -> None:
        """Open the file everywhere; send the rows if a worker does not see it."""
        try:
            self.sum(_first_pixels)
        except cluster.NotSeenError as reason:
            log.info("%s: the images are sent", reason)
            self._file = None
            self._opened = []
            self._open()

    def _open(self) -> None:
        """Begin new chains: of a file, as many as the workers have threads now."""
        if self._file or not self._opened:
            with warnings.catch_warnings(action="ignore"):  # Dask's, of the size of rows
                self._opened = [
                    cluster.submit(self.client, open_part, *arguments)
                    for arguments in self._divided()
                ]
        self._parts = self._opened

    def _divided(self) -> Iterator[tuple[Any, ...]]:
        """Yield what `open_part` takes, for each part."""
        n_segments = len(self._borders) - 1
        n_threads = sum(cluster.ask(self.client, self.client.nthreads).values())
        n_parts = min(max(1, n_threads), n_segments)
        edges = [i * n_segments // n_parts for i in range(n_parts + 1)]
        for a, b in pairwise(edges):
            ends = self._borders[a : b + 1]
            first, end = ends[0], ends[-1]
            pixels = (
                self._file.part(first, end)
                if self._file
                else np.ascontiguousarray(self._X[first:end])
            )
            yield a, ends, pixels, self._y[first:end]

    def _total(self, futures: list[Any]) -> list[Any]:
        self.n_trips += 1
        total = TreeSum()
        try:
            for nodes in _in_order(self.client, futures):
                for node in nodes:
                    total.add(*node)
        except cluster.NotSeenError as error:
            if not self._is_checked:
                raise
            raise InputError(
                f"{error}: it has changed, or this worker has joined since. Let all "
                "workers see the same folder under this path, or none, and run this again"
            ) from error
        return total.total()


def _in_order(client: Any, futures: list[Any]) -> Iterator[list[Node]]:
    """Yield the results of futures in their order, some at a time."""
    for first in range(0, len(futures), GATHERED):
        some = futures[first : first + GATHERED]
        running, found = cluster.Running(client), {}
        for future in some:
            running.add(future)
        for future, outcome in running:
            if isinstance(outcome, cluster.StoppedError):  # its worker let go of it
                _retry(client, future)
                running.add(future)
                continue
            if isinstance(outcome, Exception):
                raise outcome
            found[future.key] = outcome
        for future in some:
            yield found.pop(future.key)


def _retry(client: Any, future: Any) -> None:
    try:
        future.retry()
    except (OSError, TimeoutError, CancelledError) as error:
        raise cluster.gone(client) from error


def open_part(
    number: int, ends: list[int], pixels: np.ndarray | MappedRows, y: np.ndarray
) -> Part:
    """Return a part whose first segment has this number (a task).

    Args:
        number: Of the first segment.
        ends: Where each segment begins among all rows, and where the last one ends.
        pixels: The rows of the part.
        y: Theirs.
    """
    parts = [(a - ends[0], b - ends[0]) for a, b in pairwise(ends)]
    segments = [
        Segment(
            number + i,
            pixels.part(a, b) if isinstance(pixels, MappedRows) else pixels[a:b],
            y[a:b],
        )
        for i, (a, b) in enumerate(parts)
    ]
    return Part(tuple(segments), [])


def apply_to_part(part: Part, operation: Operation, arguments: tuple[Any, ...]) -> Part:
    """Return the part that an operation gives, with its sums (a task)."""
    _limit_blas()
    total, segments = TreeSum(), []
    for segment in part.segments:
        with quiet():
            applied = operation(segment, *arguments)
        segments.append(applied.segment)
        total.add(segment.number, 1, applied.sums)
    return Part(tuple(segments), total.nodes())


def sum_part(part: Part, operation: Summation, arguments: tuple[Any, ...]) -> list[Node]:
    """Return the sums of an operation on a part (a task)."""
    _limit_blas()
    total = TreeSum()
    for segment in part.segments:
        with quiet():
            total.add(segment.number, 1, operation(segment, *arguments))
    return total.nodes()


def nodes_of_part(part: Part) -> list[Node]:
    """Return the sums of the operation that made a part (a task)."""
    return part.nodes


@cache
def _limit_blas() -> None:
    """Let each product of this process run in one thread, from now on."""
    threadpool_limits(1, "blas")


def _first_pixels(segment: Segment) -> tuple[Any, ...]:
    """Read some pixels of a segment, to see whether they are there."""
    return (int(segment.pixels[:1].size),)
