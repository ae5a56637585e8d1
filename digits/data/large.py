"""Arrays that may be larger than memory.

From `MAPPED_FROM` bytes on, an array is in a file that is mapped into memory: what is used
of it is read when it is used, and the system takes its memory back when others need it.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from digits.errors import InputError

MAPPED_FROM = 2**30  # bytes of an array from which it is mapped, and not read into memory
BLOCK_ROWS = 1000  # rows that are read or converted at a time


def slices(n_rows: int) -> Iterator[slice]:
    """Yield the slices that divide rows into blocks of `BLOCK_ROWS`."""
    for start in range(0, n_rows, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, n_rows))


def joined(
    parts: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype | type = np.uint8
) -> np.ndarray:
    """Return arrays one after another as one array, which is mapped if it is large.

    The file of a large array is in the working folder, the project's in a stage. It has no
    name, so the system removes it with the array, or with the process, however that ends.

    Args:
        parts: The arrays; together they have as many rows as `shape` says.
        shape: The shape of the result.
        dtype: The type of the result.

    Raises:
        InputError: If a large array does not fit on the disk.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if n_bytes < MAPPED_FROM:
        result = np.empty(shape, dtype)
        start = 0
        for part in parts:
            result[start : start + len(part)] = part
            start += len(part)
        return result
    try:
        # Written, and not mapped for writing: on a full disk that would be a signal.
        with tempfile.TemporaryFile(dir=".") as file:
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
            file.flush()
            return np.memmap(file, dtype, "r", 0, shape)
    except OSError as error:
        raise InputError(
            f"{Path.cwd()}: a temporary file of {n_bytes:,} bytes cannot be written "
            f"({error.strerror}). Free some disk space, or run the same command in another "
            "folder"
        ) from error


def chosen(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows of an array, mapped if they are large.

    Args:
        array: (n_rows, …).
        rows: (n_rows,) bool, which to return.
    """
    parts = (array[block][rows[block]] for block in slices(len(array)))
    return joined(parts, (int(np.count_nonzero(rows)), *array.shape[1:]), array.dtype)
