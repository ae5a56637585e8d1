"""The thresholds with which most images are right, by dynamic programming."""

from collections import Counter
from fractions import Fraction

import numpy as np

# Only scores that differ by more than this share of the largest one are separated, so that
# several thresholds fit between them.
RESOLUTION = 1e-9


def best_thresholds(
    scores: np.ndarray, actual: np.ndarray, n_classes: int
) -> tuple[tuple[float, ...], int]:
    """Return the thresholds between the classes with which most images are right.

    Class k is predicted above threshold k - 1 and up to threshold k, as
    `digits.models.decision.Threshold` does. In ascending order of the scores, class k thus
    gets a run of images. Let B(k, j) be the largest number of right images among the first
    j, if they get no class above k, and N(k, j) the number of images of class k among them.
    If class k begins after i images,

        B(k, j) = N(k, j) + max over i <= j of B(k - 1, i) - N(k, i)

    so a running maximum finds all B in O(n_samples n_classes) after the scores are sorted
    (Bellman, On the approximation of curves by line segments using dynamic programming,
    Communications of the ACM 4, 1961).

    If several choices are best, it is the one with the lowest last threshold, among these
    the one with the lowest threshold before it, and so on. A threshold is the middle one of
    the numbers with the fewest decimals between two neighbouring scores. A class may get no
    image; its two thresholds are then between the same two scores. Only integers are summed
    and compared, so every processor finds the same thresholds.

    Args:
        scores: (n_samples,) finite; at least one.
        actual: (n_samples,) class indices.
        n_classes: the number of classes, at least 2.

    Returns:
        thresholds: (n_classes - 1,) strictly ascending.
        n_right: the number of images that they classify correctly.
    """
    order = np.argsort(scores)
    ascending = scores[order].tolist()
    largest = max(abs(ascending[0]), abs(ascending[-1]))
    gaps = np.flatnonzero(np.diff(ascending) > RESOLUTION * largest) + 1
    cuts = np.array([0, *gaps, len(ascending)])  # the numbers of images below a threshold
    is_class = actual[order] == np.arange(n_classes)[:, None]
    below = np.zeros((n_classes, len(ascending) + 1), np.int64)
    np.cumsum(is_class, axis=1, out=below[:, 1:])
    below = below[:, cuts]  # N

    right, gains = below[0], []  # B, and what is maximised
    for of_class in below[1:]:
        gains.append(right - of_class)
        right = of_class + np.maximum.accumulate(gains[-1])
    chosen = [len(cuts) - 1]
    for gain in reversed(gains):
        chosen.append(int(gain[: chosen[-1] + 1].argmax()))

    edge = max(float(n_classes), largest)
    bounds = [ascending[0] - edge, *ascending, ascending[-1] + edge]
    thresholds = [
        threshold
        for cut, n_equal in sorted(Counter(cuts[chosen[1:]].tolist()).items())
        for threshold in _between(bounds[cut], bounds[cut + 1], n_equal)
    ]
    return tuple(thresholds), int(right[-1])


def _between(low: float, high: float, n: int) -> list[float]:
    """Return n numbers, evenly spread between two others, with the fewest decimals."""
    # A float's `repr` has the fewest digits, so a shorter decimal is another float.
    exact_low, exact_high = Fraction(repr(low)), Fraction(repr(high))
    unit = Fraction(1)
    while True:
        first = exact_low // unit + 1
        n_inside = -(-exact_high // unit) - first
        if n_inside >= n:
            inside = (first + (2 * i + 1) * n_inside // (2 * n) for i in range(n))
            return [float(number * unit) for number in inside]
        unit /= 10
