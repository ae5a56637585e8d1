"""Grids: whole multiples of a power of two, on which sums are exact.

A float64 holds every whole number up to 2⁵³. So a sum of multiples of `step` is exact as
long as no partial sum exceeds 2⁵³ · step, and then it is the same in any order: for each
BLAS, number of threads and processor, and in a browser.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

EXACT_BITS = 52  # one less than float64 has, so that the bound itself may be rounded
SMALLEST_EXPONENT = -1074  # of a positive float64


def exact_step(bound: float) -> float:
    """Return the smallest power of two whose multiples can be summed exactly.

    Args:
        bound: What no partial sum exceeds in size: the sum of the sizes of all terms.
            At least 0.
    """
    exponent = math.frexp(bound)[1] - EXACT_BITS
    return math.ldexp(1.0, max(exponent, SMALLEST_EXPONENT))


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
