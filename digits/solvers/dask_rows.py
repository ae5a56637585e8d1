"""Rows on the workers of a Dask cluster.

The segments are divided into parts of consecutive ones. Each worker holds a part in a Dask
actor: its share of the segments is that of its threads. For an operation each actor is
called, which applies it to its segments in the worker's threads. It returns the sums of
whole groups in the tree of all segments, so how these are divided changes no bit.

The client keeps the operations that changed the segments since the last one that needed
only their rows. If a worker is lost, another one opens its part and applies them again.

Rows in a file that all workers see, or fetch from a storage (`worker_files`), are mapped
into memory there. Others are sent once, through the scheduler, which keeps them in its
memory.
"""

import asyncio
import ctypes
import logging
import math
import pickle
import time
import warnings
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from threadpoolctl import threadpool_limits

from digits import cluster, worker_files
from digits.errors import InputError
from digits.memory import MIB
from digits.solvers.rows import (
    MAX_SEGMENTS,
    Applied,
    Operation,
    Rows,
    Segment,
    Summation,
    TreeSum,
    borders,
    quiet,
)

AT_ONCE = 2**29  # bytes of sums that all parts may send at once; larger ones come in turn
LOSSES = 4  # workers that may be lost with the same operation on a part

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

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
        self, file: worker_files.File, offset: int, shape: tuple[int, ...], dtype: np.dtype
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
        file = worker_files.File.of(Path(root.filename).absolute())
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
            worker_files.NotSeenError: The file is not there, or has changed.
        """
        return _mapped(self.file.copy(), self.offset, self.shape, self.dtype)[rows]


@lru_cache(maxsize=2 * MAX_SEGMENTS)
def _mapped(
    copy: worker_files.Copy, offset: int, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Map a part of a file, once for each state of the file."""
    return np.memmap(copy.path, dtype, "r", offset, shape)


class Call(NamedTuple):
    """An operation on all segments.

    Attributes:
        number: Of the calls of a `DaskRows`, in their order.
        kind: Whether it only sums; or gives segments, from those before or from fresh ones.
        operation: The operation.
        arguments: What it takes after the segment.
    """

    number: int
    kind: Literal["sum", "step", "fresh"]
    operation: Operation | Summation
    arguments: tuple[Any, ...]


class HeldPart:
    """Consecutive segments on a worker (a Dask actor).

    Args:
        segments: The segments, as they are opened.
    """

    def __init__(self, *segments: Segment) -> None:
        from distributed import get_worker  # noqa: PLC0415 (an extra)

        self._worker = get_worker()
        self._key = self._worker.get_current_task()
        self._n_more = self._worker.state.nthreads - 1  # threads but that of the actor
        self._pool = ThreadPoolExecutor(max(1, self._n_more))
        self._opened = self._segments = segments
        self._number, self._sums = -1, b""  # of the last call

    def apply(self, calls: bytes, most: float) -> bytes | None:
        """Apply the calls that have not been applied; return the sums of the last one.

        Args:
            calls: A pickled list of `Call`s in their order. The last one is the last that
                was applied, or a new one.
            most: Bytes of the sums up to which they are returned; else None is.

        Returns:
            The nodes of a `TreeSum`, pickled.

        Raises:
            InputError: Not enough memory, or another error of this machine.
            worker_files.NotSeenError: The file with the rows is not there, or has changed.
            cluster.StoppedError: The client has let go of this part.
        """
        with cluster.ALONE, cluster.explained(self._worker):
            _prepare()
            for call in pickle.loads(calls):  # noqa: S301 (as all that Dask sends)
                if call.number > self._number:
                    self._apply(call)
        return self._sums if len(self._sums) <= most else None

    def _apply(self, call: Call) -> None:
        segments = self._opened if call.kind == "fresh" else self._segments
        todo, done = iter(segments), dict[int, Applied]()

        def work() -> None:
            with cluster.stoppable(self._worker, self._key), quiet():
                for held in todo:
                    segment = replace(held, pixels=held.pixels[:])  # maps them
                    applied: Any = call.operation(segment, *call.arguments)
                    if call.kind == "sum":
                        applied = Applied(held, applied)
                    segment = replace(applied.segment, pixels=held.pixels)
                    done[held.number] = Applied(segment, applied.sums)

        contexts = [copy_context() for _ in range(self._n_more)]  # get_worker() needs them
        others = [self._pool.submit(context.run, work) for context in contexts]
        try:
            work()
        finally:
            wait(others)
        for other in others:
            other.result()
        total, in_order = TreeSum(), sorted(done.items())
        for number, applied in in_order:
            total.add(number, 1, applied.sums)
        self._segments = tuple(applied.segment for _, applied in in_order)
        self._number, self._sums = call.number, pickle.dumps(total.nodes(), protocol=5)


@cache
def _prepare() -> None:
    """Let each product of this process run in one thread, and keep memory for the next one.

    Dask's nanny sets a variable for a process that gives memory back at once, so that each
    operation got its arrays page by page. These are the values that glibc otherwise finds
    itself; other libraries have no `mallopt`.
    """
    threadpool_limits(1, "blas")
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 * MIB)
        mallopt(M_TRIM_THRESHOLD, 64 * MIB)


class _LostError(Exception):
    """The worker of a part is lost."""


class _Segments:
    """All segments, as they are given to workers.

    Args:
        client: The client.
        X: (n_samples, n_features) uint8 or float, may be memory-mapped.
        y: (n_samples, ...).

    Attributes:
        file: Where X lies in a file; None if its rows are sent.
    """

    def __init__(self, client: Any, X: np.ndarray, y: np.ndarray) -> None:
        self._client, self._X, self._y = client, X, y
        self._borders = borders(len(X))
        self.file = MappedRows.of(X)
        self._sent: dict[int, tuple[Any, str]] = {}  # a future, and the worker it is for

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self._borders) - 1

    def given(self, number: int, worker: str) -> Any:
        """Return a segment; the future of one whose rows are sent, first to this worker."""
        first, end = self._borders[number : number + 2]
        if self.file:
            return Segment(number, self.file.part(first, end), self._y[first:end])
        if number not in self._sent or self._waits_for(number) not in {"", worker}:
            rows = np.ascontiguousarray(self._X[first:end]), self._y[first:end]
            workers = [worker] if worker else []
            with warnings.catch_warnings(action="ignore"):  # Dask's, of their size
                future = cluster.submit(
                    self._client, Segment, number, *rows, workers=workers
                )
            self._sent[number] = future, worker
        return self._sent[number][0]

    def waits_for(self, numbers: Iterable[int]) -> set[str]:
        """Return the workers that were named for rows which are not there yet."""
        return {*map(self._waits_for, numbers)} - {""}

    def _waits_for(self, number: int) -> str:
        future, worker = self._sent.get(number, (None, ""))
        return worker if future is not None and future.status != "finished" else ""


class _Part:
    """A part, as the client sees it. Its coroutines run in the client's event loop.

    Args:
        client: The client.
        segments: All segments.
        numbers: Those of this part.
        worker: The address of the worker that should hold it; empty: any.
    """

    def __init__(
        self, client: Any, segments: _Segments, numbers: Sequence[int], worker: str
    ) -> None:
        self._client, self._segments, self._numbers = client, segments, numbers
        self._worker, self.was_lost = worker, False
        self._open(worker)

    def _open(self, worker: str = "") -> None:
        """Open the part, on this worker if it is there."""
        self._named = worker
        given = [self._segments.given(number, worker) for number in self._numbers]
        workers = [worker] if worker else []
        with warnings.catch_warnings(action="ignore"):  # Dask's, of the size of arguments
            self._future = cluster.submit(
                self._client, HeldPart, *given, workers=workers, actor=True
            )
        cancel = partial(self._client.cancel, [self._future])
        later = weakref.finalize(self, self._client.loop.add_callback, cancel)
        later.atexit = False  # till then, what Dask has of calls may hold the actor
        self._actor: Any = None
        self._number = -1  # of the last call whose answer came

    async def ask(self, calls: Sequence[Call], last: bytes, most: float) -> Any:
        """Let the worker apply calls, as `HeldPart.apply` does; if it is lost, another one.

        Args:
            calls: All that have changed segments since the last fresh ones, and perhaps
                one that sums.
            last: A list of the last call, pickled.
            most: As for `HeldPart.apply`.

        Returns:
            The nodes of a `TreeSum`, or None.

        Raises:
            InputError: `LOSSES` workers are lost.
            Exception: What an operation raises.
        """
        for _ in range(LOSSES):
            missing = [call for call in calls[:-1] if call.number > self._number]
            todo = pickle.dumps([*missing, calls[-1]], protocol=5) if missing else last
            try:
                sums = await self._ask(todo, most)
            except (_LostError, cluster.OtherCodeError) as error:
                self.was_lost = True
                self._open()
                if isinstance(error, cluster.OtherCodeError):
                    raise
            else:
                self._number = calls[-1].number
                return sums and pickle.loads(sums)  # noqa: S301 (as all that Dask sends)
        raise cluster.killed(LOSSES, self._worker)

    async def _ask(self, calls: bytes, most: float) -> bytes | None:
        try:
            if self._actor is None:
                self._actor = await self._opened()
                self._worker = self._actor._address  # noqa: SLF001 (there is no other way)
            return await self._answer(calls, most)
        except cluster.OtherCodeError:
            raise
        except cluster.StoppedError as error:
            raise _LostError from error
        except RuntimeError as error:
            if self._future.status == "error" and "Actor" in str(error):
                raise _LostError from error
            raise

    async def _opened(self) -> Any:
        """Wait until a worker has opened the part; return the actor.

        Dask never starts a task for which a worker was named that has left while there was
        no other one (https://github.com/dask/distributed/issues/7346).

        Raises:
            _LostError: So it is with this part.
        """
        opening, pause = asyncio.ensure_future(self._future.result()), cluster.PAUSE
        try:
            while not (await asyncio.wait([opening], timeout=pause))[0]:
                there = await self._client.nthreads()
                named = {self._named} - {""} | self._segments.waits_for(self._numbers)
                if there and named - {*there}:
                    raise _LostError
                pause *= 2  # many parts may wait
            return await opening
        finally:
            opening.cancel()

    async def _answer(self, calls: bytes, most: float) -> bytes | None:
        """Call the actor until it has answered, or its worker is lost."""
        failing_since = None
        while True:
            self._check()
            with self._client.as_current():
                answer = asyncio.ensure_future(self._actor.apply(calls, most))
            try:
                while not (await asyncio.wait([answer], timeout=cluster.PAUSE))[0]:
                    self._check()
                return await answer
            except OSError as error:  # of the connection: of the worker, or of this call
                self._client.direct_to_workers = False
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > cluster.UNREACHED:
                    raise cluster.unreached(self._worker) from error
                await asyncio.sleep(cluster.PAUSE)
            finally:
                answer.cancel()

    def _check(self) -> None:
        """Raise an exception if the scheduler has given up the worker."""
        if self._future.status == "error":
            raise _LostError
        if self._future.status != "finished":
            raise cluster.gone(self._client)


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
        self._segments = _Segments(client, X.reshape(len(X), -1), y)
        self._parts: list[_Part] = []
        self._workers: dict[str, int] = {}  # addresses, and the threads of each
        self._log: list[Call] = []  # the steps since the last fresh one
        self._is_checked = False
        self._divide()
        if self._segments.file:
            self._send_if_not_seen()
        self._is_checked = True

    def sum(self, operation: Summation, *arguments: Any) -> list[Any]:
        """Apply an operation to each segment; return the sums."""
        return self._total(Call(self.n_trips, "sum", operation, arguments))

    def step(self, operation: Operation, *arguments: Any, fresh: bool = False) -> list[Any]:
        """Apply an operation to each segment, and keep the results."""
        if fresh:
            self._log.clear()
            self._divide()
        kind: Literal["step", "fresh"] = "fresh" if fresh else "step"
        call = Call(self.n_trips, kind, operation, arguments)
        total = self._total(call)
        self._log.append(call)
        return total

    def _send_if_not_seen(self) -> None:
        """Open the file everywhere; send the rows if a worker does not see it."""
        try:
            self.sum(_first_pixels)
        except worker_files.NotSeenError as reason:
            log.info("%s: the images are sent", reason)
            self._segments.file, self._workers = None, {}
            self._divide()

    def _divide(self) -> None:
        """Divide the segments among the workers, if those have changed."""
        workers = cluster.ask(self.client, self.client.nthreads)
        workers = workers or self._workers or {"": 1}
        if workers == self._workers and not any(part.was_lost for part in self._parts):
            return
        self._workers, self._parts = workers, []
        self.client.direct_to_workers = cluster.reaches(self.client, workers)
        n_segments, ends = len(self._segments), np.cumsum([*workers.values()])
        edges = [0, *(int(n_segments * end // ends[-1]) for end in ends)]
        for worker, edge in zip(workers, pairwise(edges), strict=True):
            if numbers := range(*edge):
                self._parts.append(_Part(self.client, self._segments, numbers, worker))

    def _total(self, call: Call) -> list[Any]:
        self.n_trips += 1
        while True:
            try:
                total = cluster.complete(self.client, self._gather([*self._log, call]))
            except worker_files.NotSeenError as error:
                file = self._segments.file
                if file and file.file.put():
                    continue
                if not self._is_checked:
                    raise
                raise InputError(
                    f"{error}: it has changed, or this worker has joined since. Let all "
                    "workers see the same folder under this path, or none, or name a "
                    f"storage ({worker_files.VARIABLE}), and run this again"
                ) from error
            if not isinstance(total, cluster.OtherCodeError):
                return total

    async def _gather(self, calls: list[Call]) -> list[Any]:
        """Apply calls to all parts; return the sums of the last one."""
        last, most = pickle.dumps(calls[-1:], protocol=5), AT_ONCE / len(self._parts)
        asked = [asyncio.ensure_future(part.ask(calls, last, most)) for part in self._parts]
        total = TreeSum()
        try:
            for part, answer in zip(self._parts, asked, strict=True):
                nodes = await answer
                if nodes is None:
                    nodes = await part.ask(calls, last, math.inf)
                for node in nodes:
                    total.add(*node)
        finally:
            for answer in asked:
                answer.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return total.total()


def _first_pixels(segment: Segment) -> tuple[Any, ...]:
    """Read some pixels of a segment, to see whether they are there."""
    return (int(segment.pixels[:1].size),)
