"""Work shared out to threads, whose result does not depend on how many there are."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

BLOCK_ROWS = 1000  # of a block, if nothing else is said

Result = TypeVar("Result")


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def sum_tuples(results: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the sum of the first items, of the second items, and so on."""
    return [sum(items) for items in zip(*results, strict=True)]


def map_row_blocks(
    function: Callable[[slice], Result], n_samples: int, size: int = BLOCK_ROWS
) -> list[Result]:
    """Return `function(rows)` of all blocks of `size` rows, in their order.

    Each thread has a BLAS of one thread: the last bits depend on the number of those.
    """
    blocks = [slice(i, min(i + size, n_samples)) for i in range(0, n_samples, size)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(available_threads()) as pool:
        return list(pool.map(function, blocks))
