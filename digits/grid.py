"""Grids: whole multiples of a power of two, on which sums are exact.

A float64 holds every whole number up to 2⁵³. So a sum of multiples of `step` is exact as
long as no partial sum exceeds 2⁵³ · step, and then it is the same in any order: for each
BLAS, number of threads and processor, and in a browser.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

EXACT_BITS = 52  # one less than float64 has, so that the bound itself may be rounded


def exact_step(bound: float) -> float:
    """Return the smallest power of two whose multiples can be summed exactly.

    Args:
        bound: What no partial sum exceeds in size: the sum of the sizes of all terms.
            Positive.
    """
    return math.ldexp(1.0, math.frexp(bound)[1] - EXACT_BITS)


def round_to(values: ArrayLike, step: float) -> np.ndarray:
    """Return the nearest multiples of a power of two, never -0.0.

    Args:
        values: Any shape; below 2⁵² · step in size.
        step: A power of two.

    Returns:
        float64, of the same shape.
    """
    return np.rint(np.asarray(values, np.float64) / step) * step + 0.0
