"""The arrays of an HDF5 file, such as USPS's, with their groups' names: `train/data`."""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from digits.data import files, regular
from digits.errors import InputError

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_LEVELS = 4  # of groups in groups
MOST_ARRAYS = 1000
FILTERS = {"gzip", "lzf", None}


def is_hdf5(path: Path) -> bool:
    """Tell whether a file begins as HDF5 does; one of MATLAB 7.3 has a header before."""
    try:
        with regular.file(path).open("rb") as file:
            start = file.read(1024)
    except (OSError, ValueError):
        return False
    return MAGIC in (start[:8], start[512:520])


def read(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of numbers. Links to other files are not followed.

    Raises:
        InputError: If the file is damaged, or would unpack to more than
            `files.max_unpacked_bytes`; or if h5py is missing.
    """
    try:
        import h5py  # noqa: PLC0415 (slow to import)
    except ImportError as error:
        raise InputError(f"{path}: reading HDF5 needs the package h5py") from error
    try:
        with h5py.File(regular.file(path), "r") as file:
            left = files.max_unpacked_bytes(path)
            found = {}
            for name, array in _arrays(file, h5py):
                left -= math.prod(array.shape) * array.dtype.itemsize
                if left < 0 or not _chunks_are_small(array):
                    raise ValueError("it would unpack to too many bytes")  # noqa: TRY301
                found[name] = array[()]
            return found
    # What h5py raises on a damaged file depends on where the damage is.
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        MemoryError,
        zlib.error,
    ) as error:
        raise InputError(f"{path}: cannot be read as HDF5: {error}") from error


def _chunks_are_small(array: Any) -> bool:
    """Return whether each compressed part of an array unpacks to the size that it should.

    HDF5 itself unpacks a part of any size.
    """
    if array.chunks is None:
        return True
    size = math.prod(array.chunks) * array.dtype.itemsize
    if size > files.ALWAYS_ALLOWED:
        return False
    for i in range(array.id.get_num_chunks() if array.compression == "gzip" else 0):
        place = array.id.get_chunk_info(i).chunk_offset
        _, packed = array.id.read_direct_chunk(place)
        unpacking = zlib.decompressobj()
        unpacking.decompress(packed, size + 1)
        if not unpacking.eof:
            return False
    return True


def _arrays(group: Any, h5py: Any, before: str = "", level: int = 0) -> Iterator[Any]:
    """Yield the name and the data set of each array of numbers in a group."""
    for i, name in enumerate(group):
        if i == MOST_ARRAYS:
            return
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        member = group[name]
        if isinstance(member, h5py.Group) and level < MOST_LEVELS:
            yield from _arrays(member, h5py, f"{before}{name}/", level + 1)
        elif (
            isinstance(member, h5py.Dataset)
            and member.shape
            and member.dtype.kind in "buif"
            and not (member.is_virtual or member.external)
            and member.compression in FILTERS
        ):
            yield f"{before}{name}", member
