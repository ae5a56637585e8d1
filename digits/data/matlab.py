"""The arrays of MATLAB's files: versions 5 to 7.2, and 7.3, which is HDF5.

Only numbers, and structures that hold them, are read, with the names of the structures
before theirs: `dataset.train.images`. Source of the format: MathWorks, "MAT-File Format",
2023. scipy.io reads more, but takes any memory that a header asks for.
"""

import math
import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.data import files, hdf5, regular
from digits.errors import InputError

HEADER = 128  # bytes
# The types of data, and below the classes of arrays, by their numbers.
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8",
         12: "i8", 13: "u8"}  # fmt: skip
FLOATS, INTEGERS = range(6, 8), range(8, 16)
MATRIX, COMPRESSED, STRUCTURE = 14, 15, 2
COMPLEX = 0x08
MOST_LEVELS = 4  # of structures in structures
MOST_ARRAYS = 1000


class _Element(NamedTuple):
    """A part of a file: a number for its type, and its bytes."""

    kind: int
    content: memoryview


def read(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of numbers.

    Returns:
        The arrays by their names. Images of which the last axis counts them, as in SVHN's
        (height, width, colours, n), have it first.

    Raises:
        InputError: If the file is damaged, or would unpack to more than
            `files.max_unpacked_bytes`.
    """
    if hdf5.is_hdf5(path):  # version 7.3, which has the axes in C's order
        found = {name: array.T for name, array in hdf5.read(path).items()}
    else:
        found = _read(path)
    sizes = {array.size for array in found.values()}
    return {
        name: np.moveaxis(array, -1, 0) if _counts_last(array.shape, sizes) else array
        for name, array in found.items()
    }


def _counts_last(shape: tuple[int, ...], sizes: set[int]) -> bool:
    """Return whether the last axis of images, and not the first one, counts them.

    Args:
        shape: Of an array.
        sizes: The numbers of values in all arrays, such as the labels.
    """
    return len(shape) > 2 and shape[-1] in sizes and shape[0] not in sizes  # noqa: PLR2004


def is_matlab(path: Path) -> bool:
    """Tell whether a file is of MATLAB, by its name."""
    return path.suffix.lower() == ".mat"


def class_names(found: dict[str, np.ndarray]) -> list[str] | None:
    """Return the names of the classes in EMNIST's array `mapping`, or None.

    It has a row for each class: the label and the code of the character.
    """
    for name, array in found.items():
        if re.split("[./]", name)[-1] == "mapping" and array.ndim == 2:  # noqa: PLR2004
            labels, codes = array[:, 0], array[:, 1:].min(axis=1, initial=127)
            counted = np.arange(len(labels)) + labels.min(initial=1)
            if (labels == counted).all() and ((codes > 32) & (codes < 127)).all():  # noqa: PLR2004
                return [chr(int(code)) for code in codes]
    return None


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read a file of version 5 to 7.2, with the axes as in MATLAB."""
    try:
        with regular.file(path).open("rb") as file:
            content = file.read()
        order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
        if order is None:
            raise ValueError("it is not a file of MATLAB 5 to 7.2")  # noqa: TRY301
        found: dict[str, np.ndarray] = {}
        left = files.max_unpacked_bytes(path)
        for element in _elements(memoryview(content)[HEADER:], order):
            if element.kind == COMPRESSED:
                unpacking = zlib.decompressobj()
                unpacked = unpacking.decompress(element.content, left + 1)
                left -= len(unpacked)
                if left < 0:
                    raise ValueError("it would unpack to too many bytes")  # noqa: TRY301
                (inner, *_) = _elements(memoryview(unpacked), order)
            else:
                inner = element
            if inner.kind == MATRIX:
                _add(found, inner.content, order)
    except (OSError, ValueError, struct.error, zlib.error, MemoryError) as error:
        raise InputError(f"{path}: cannot be read as MATLAB's file: {error}") from error
    return found


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
    """Yield the elements of a part of a file. Raises `ValueError` if it is too short."""
    at = 0
    while at < len(content):
        kind, length = struct.unpack(f"{order}II", content[at : at + 8])
        start, padded = at + 8, length + (-length % 8 if kind != COMPRESSED else 0)
        if kind >> 16:  # at most four bytes, in the tag itself
            kind, length = kind & 0xFFFF, kind >> 16
            start, padded = at + 4, 4
        if length > len(content) - start:
            raise ValueError("it is truncated")
        yield _Element(kind, content[start : start + length])
        at = start + padded


def _add(
    found: dict[str, np.ndarray],
    content: memoryview,
    order: str,
    name: str = "",
    level: int = 0,
) -> None:
    """Add the arrays of a matrix, or of all fields of a structure.

    Args:
        found: The arrays by their names.
        content: The matrix.
        order: The order of the bytes, `<` or `>`.
        name: The name of the matrix, if it is a field.
        level: How many structures it is in.
    """
    if not content or len(found) > MOST_ARRAYS:  # an empty field
        return
    parts = islice(_elements(content, order), MOST_ARRAYS)
    flags, dimensions, own_name, *values = parts
    (word,) = struct.unpack(f"{order}I", flags.content[:4])
    shape = np.frombuffer(dimensions.content, f"{order}i4").tolist()
    name = name or bytes(own_name.content).decode("latin-1")
    kind = word & 0xFF
    if kind == STRUCTURE and math.prod(shape) == 1 and level < MOST_LEVELS:
        lengths, names, *fields = values
        (length,) = struct.unpack(f"{order}i", lengths.content[:4])
        if length < 1:
            raise ValueError("a structure has no names")
        for i, field in enumerate(fields):
            of_field = bytes(names.content[i * length : (i + 1) * length])
            full = f"{name}.{of_field.split(bytes(1))[0].decode('latin-1')}"
            _add(found, field.content, order, full, level + 1)
    is_number = kind in FLOATS or kind in INTEGERS
    if is_number and not word >> 8 & COMPLEX and values and values[0].kind in TYPES:
        # whole numbers are stored in few bytes, whatever their class
        numbers = np.frombuffer(values[0].content, order + TYPES[values[0].kind])
        if min(shape, default=0) < 0 or math.prod(shape) != len(numbers):
            raise ValueError(f"{name} has {len(numbers)} values for the shape {shape}")
        if kind in FLOATS and numbers.dtype.kind in "iu" and numbers.max(initial=0) <= 1:
            numbers = numbers.astype(np.float32)  # such as grey values from 0 to 1
        found[name] = numbers.reshape(shape, order="F")
