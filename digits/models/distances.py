"""Distances between images, and a kernel of them, with the same bits on every processor."""

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from digits import grid

# float32 adds up this many products of two numbers from -128 to 127 exactly.
EXACT_PIXELS = 1024
STEP = 2.0**-18  # of a kernel, and of its exponent
TILE = 500  # rows whose kernel is computed at a time


class Centred(NamedTuple):
    """Images for the functions below.

    Attributes:
        pixels: (n, n_pixels) float32, grey values minus 128: the distances do not change.
        squares: (n,) int32, the exact squared norms of these.
    """

    pixels: np.ndarray
    squares: np.ndarray


def centred(X: np.ndarray) -> Centred:
    """Return images, (n, n_pixels) uint8, for the functions below."""
    pixels = X.astype(np.float32) - np.float32(128)
    squares = np.einsum("ij,ij->i", pixels, pixels, dtype=np.float64)
    return Centred(pixels, squares.astype(np.int32))


def products(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return the exact X · Yᵀ.

    Args:
        X: (n, n_pixels) float32, pixels from `centred`.
        Y: (m, n_pixels) float32, pixels from `centred`.

    Returns:
        (n, m) int32.
    """
    parts = [
        (X[:, i : i + EXACT_PIXELS] @ Y[:, i : i + EXACT_PIXELS].T).astype(np.int32)
        for i in range(0, X.shape[1], EXACT_PIXELS)
    ]
    return np.add.reduce(parts, dtype=np.int32) if len(parts) > 1 else parts[0]


def gaussian_kernel(
    X: Centred, Y: Centred, gamma: float, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """Return exp(-gamma ‖x - y‖²), rounded.

    The distance is exact. The exponent is rounded to a multiple of STEP, so that there are
    only 3.5 million exponents whose exponential is not 0, and each exponential is rounded
    to a multiple of STEP. Processors and libraries differ in the last bit of an
    exponential. None of the 3.5 million is so close to a boundary between two multiples
    that this bit matters (a test computes all). The error is at most STEP.

    Args:
        X: n images.
        Y: m images.
        gamma: For distances of grey values; positive.
        dtype: float64 or float32, which also holds the values exactly.

    Returns:
        (n, m), multiples of STEP from 0 to 1.
    """
    K = np.empty((len(X.pixels), len(Y.pixels)), dtype)
    for i in range(0, len(K), TILE):
        rows = slice(i, i + TILE)
        distances = products(X.pixels[rows], Y.pixels)
        distances *= -2
        distances += Y.squares
        distances += X.squares[rows, None]
        exponent = grid.snap(distances * -gamma, STEP)
        K[rows] = grid.snap(np.exp(exponent, out=exponent), STEP)
    return K
