"""Rows on the workers of a Dask cluster.

The segments are divided into parts of consecutive ones, about as many as the workers have
threads. Each part is a chain of tasks: an operation takes the part as the operation before
has left it. Dask runs it where that is, and if its worker is lost, computes the chain again
elsewhere. A part returns the sums of whole groups in the tree of all segments, so how the
segments are divided changes no bit.

Rows in a file that all workers see are mapped into memory there. Others are sent once,
through the scheduler, which keeps them in its memory.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from digits import cluster
from digits.errors import InputError
from digits.solvers.rows import (
    MappedRows,
    Operation,
    Rows,
    Segment,
    Summation,
    TreeSum,
    borders,
    quiet,
)

COMPARED = 2**20  # bytes at both ends of a file by which a worker's copy is recognised
GATHERED = 8  # parts whose sums are fetched at once, which bounds the client's memory

Node = tuple[int, int, list[Any]]  # of `TreeSum`


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
        if self._file and not _is_seen(client, self._file.path):
            self._file = None
        self._opened: list[Any] = []
        self._parts: list[Any] = []
        self._open()

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
        n_parts = min(max(1, sum(self.client.nthreads().values())), n_segments)
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
        for nodes in _in_order(self.client, futures):
            for node in nodes:
                total.add(*node)
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
                future.retry()
                running.add(future)
                continue
            if isinstance(outcome, Exception):
                raise outcome
            found[future.key] = outcome
        for future in some:
            yield found.pop(future.key)


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


def _is_seen(client: Any, path: str) -> bool:
    """Return whether all workers see a file under its path; false if none does.

    Raises:
        InputError: Some see it, and others do not, or see another file.
    """
    ours = describe_file(path)
    answers = client.run(describe_file, path)
    others = [worker for worker, theirs in answers.items() if theirs != ours]
    if not others:
        return True
    if len(others) < len(answers) or any(answers[worker] for worker in others):
        what = "another file there" if answers[others[0]] else "no such file"
        raise InputError(
            f"worker {others[0]}: {path}: {what}, while this machine or other workers have "
            "the images there. Let all workers see the same folder under this path, or none"
        )
    return False


def describe_file(path: str) -> str:
    """Return a hash of a file's size and of both its ends; empty if there is none."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(COMPARED)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - COMPARED, 0))
            end = file.read(COMPARED)
    except OSError:
        return ""
    return hashlib.sha256(b"%d %b %b" % (size, start, end)).hexdigest()
