"""Arrays for the page: one block of bytes, deflated, as text."""

import base64
import zlib
from dataclasses import dataclass

import numpy as np

# Each array starts at a multiple of 8 bytes, the size of the largest element.
ALIGNMENT = 8


@dataclass(frozen=True)
class Packed:
    """Arrays in one block.

    Attributes:
        layout: For each array its type, its start in bytes, and its number of elements.
        text: The block, deflated (zlib's format), in base64.
    """

    layout: dict[str, tuple[str, int, int]]
    text: str


def pack(arrays: dict[str, np.ndarray]) -> Packed:
    """Pack arrays, flattened; the same arrays give the same text."""
    layout, block = {}, bytearray()
    for name, array in arrays.items():
        block += bytes(-len(block) % ALIGNMENT)
        little_endian = array.dtype.newbyteorder("<")
        layout[name] = (str(array.dtype), len(block), array.size)
        block += np.ascontiguousarray(array, dtype=little_endian).tobytes()
    return Packed(layout, base64.b64encode(deflate(bytes(block))).decode("ascii"))


def deflate(block: bytes) -> bytes:
    """Compress at a fixed level: higher ones take four times as long for a tenth less."""
    return zlib.compress(block, 1)
