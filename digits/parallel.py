"""Parallel maps. The number of threads does not change a result."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

BLOCK_ROWS = 1000  # rows of a block, unless the caller chooses another number

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def sum_tuples(results: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Sum tuples item by item, in their order.

    Args:
        results: Tuples of the same length, of numbers or arrays.

    Returns:
        The sum of all first items, the sum of all second items, and so on.
    """
    return [sum(items) for items in zip(*results, strict=True)]


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> list[Result]:
    """Call a function for each item, in parallel threads.

    BLAS is limited to one thread meanwhile, because the last bits of a product depend on
    the number of BLAS threads.

    Args:
        function: Called with an item.
        items: What to call it with.

    Returns:
        The results, in the order of the items.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(available_threads()) as pool:
        return list(pool.map(function, items))


def map_row_blocks(
    function: Callable[[slice], Result], n_samples: int, size: int = BLOCK_ROWS
) -> list[Result]:
    """Call a function for each block of rows, as `map_in_threads` does.

    Args:
        function: Called with the slice of a block's rows.
        n_samples: Number of all rows.
        size: Rows of a block; the last block may have fewer.

    Returns:
        The results, in the order of the blocks.
    """
    blocks = (slice(i, min(i + size, n_samples)) for i in range(0, n_samples, size))
    return map_in_threads(function, blocks)
