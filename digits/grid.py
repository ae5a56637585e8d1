"""Grids: whole multiples of a power of two, on which sums are exact.

A float64 holds every whole number up to 2⁵³. So a sum of multiples of `step` is exact as
long as no partial sum exceeds 2⁵³ · step, and then it is the same in any order: for each
BLAS, number of threads and processor, and in a browser.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

# One less than float64 and float32 have, so that the bound itself may be rounded.
EXACT_BITS, EXACT_BITS_32 = 52, 23
SMALLEST_EXPONENT = -1074  # of a positive float64


def exact_step(bound: float, bits: int = EXACT_BITS) -> float:
    """Return the smallest power of two whose multiples can be summed exactly.

    Args:
        bound: What no partial sum exceeds in size: the sum of the sizes of all terms.
            At least 0.
        bits: Of the sums: EXACT_BITS for float64, EXACT_BITS_32 for float32.
    """
    return math.ldexp(1.0, max(math.frexp(bound)[1] - bits, SMALLEST_EXPONENT))


def power_of_two(limit: float) -> float:
    """Return the largest power of two that is at most `limit`, a positive number."""
    return math.ldexp(1.0, math.frexp(limit)[1] - 1)


def round_to(values: ArrayLike, step: ArrayLike) -> np.ndarray:
    """Return the nearest multiples of a power of two, never -0.0.

    Args:
        values: Any shape; below 2⁵² · step in size.
        step: A power of two, or an array of them that broadcasts to that shape.

    Returns:
        float64, of the same shape.
    """
    step = np.asarray(step, np.float64)
    return np.rint(np.asarray(values, np.float64) / step) * step + 0.0


def snap(values: np.ndarray, step: float) -> np.ndarray:
    """Round to the nearest multiples of a power of two, in place: a faster `round_to`.

    Near 3 · 2⁵¹ · step, neighbouring floats differ by `step`, to which the sum is rounded.

    Args:
        values: float64 of any shape, below 2⁵⁰ · step in size.
        step: A power of two.

    Returns:
        `values`, never -0.0.
    """
    values += 3 * 2.0**51 * step
    values -= 3 * 2.0**51 * step
    return values


def residual(A: np.ndarray, X: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return B - A · X, rounded only once.

    A and X are cut into slices of so few bits that BLAS sums the products of two slices
    exactly, as in Ozaki, Ogita, Oishi and Rump, "Error-free transformations of matrix
    multiplication by using fast routines of matrix multiplication", 2012. What six slices
    do not hold is left out: less than 2⁻⁹⁶ of the largest number, for up to a million rows
    of X.

    Args:
        A: (n, m) float64.
        X: (m, k) float64.
        B: (n, k) float64.

    Returns:
        (n, k) float64, the same on every processor.
    """
    bits = (EXACT_BITS - len(X).bit_length()) // 2
    right = np.hstack(list(_slices(X, bits)))
    terms = [B]
    for left in _slices(A, bits):
        terms += np.split(-(left @ right), right.shape[1] // X.shape[1], axis=1)
    columns = zip(*(term.ravel().tolist() for term in terms), strict=True)
    return np.array([math.fsum(column) for column in columns]).reshape(B.shape)


def _slices(values: np.ndarray, bits: int, most: int = 6) -> Iterator[np.ndarray]:
    """Yield arrays that sum to `values`, each of multiples below 2^bits of a step."""
    rest, exponent = values, math.frexp(np.abs(values).max())[1]
    for _ in range(most):
        exponent -= bits
        part = round_to(rest, math.ldexp(1.0, exponent))
        yield part
        rest = rest - part
        if not rest.any():
            return


def is_settled(values: np.ndarray, step: float, error: float | np.ndarray) -> bool:
    """Return whether a grid hides an error: no value is so close to a rounding boundary.

    Two computations of the same numbers, each wrong by less than `error`, then round to
    the same multiples of `step`.

    Args:
        values: What will be rounded to multiples of `step`.
        step: A power of two.
        error: The largest error, of all values or of each.
    """
    from_boundary = 0.5 - np.abs(values / step - np.rint(values / step))
    return bool(np.all(from_boundary * step > error))
