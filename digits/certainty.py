"""How certain are results on a sample of test images, and differences between two models?

Two models are compared on the same images. An image that both classify correctly, or both
wrongly, says nothing about which model is better; what counts are the images that only one
of them classifies correctly. Confidence levels are between 0 and 1, exclusive.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist

import numpy as np

from digits import grid

# SciPy's default: with other seeds, the ends of a 95 % interval have a standard deviation
# of √(0.025 · 0.975 / 9999) / φ(1.96) standard errors, which is 0.7 % of its width.
N_RESAMPLES = 9999
MOST_PER_BATCH = 2**20  # resampled numbers that are in memory at once


def wilson(right: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of an accuracy, by Wilson's score method.

    It contains the accuracies that the normal test of a proportion does not reject: Wilson,
    Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association 22 (1927). It never exceeds 0 or 1, and it has a width
    even if all images are right.

    Args:
        right: the number of images classified correctly, 0 to n.
        n: the number of images, at least 1.
        level: the confidence level, between 0 and 1.

    Returns:
        low, high: 0 <= low <= right / n <= high <= 1.
    """
    z, share = _quantile(level), right / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z**2 / n)
    low = middle - margin if right > 0 else 0.0  # so without rounding
    return low, middle + margin if right < n else 1.0


def _quantile(level: float) -> float:
    """Return z, with which a normal value is between -z and z with this probability."""
    return NormalDist().inv_cdf((1 + level) / 2)


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the p-value of McNemar's exact test: are two models equally good?

    If they are, each image that only one of them classifies correctly is as likely to be
    one of A as one of B. So `only_a` is binomial with probability 1/2, and the p-value is
    the probability of a split that is at least as uneven: McNemar, Note on the sampling
    error of the difference between correlated proportions, Psychometrika 12 (1947).

    Args:
        only_a: the number of images that only A classifies correctly.
        only_b: the number of images that only B classifies correctly.

    Returns:
        From 0 to 1; 1 if the models differ on no image.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    # Each binomial coefficient from the one before it. SciPy's are rounded, and its import
    # takes longer.
    ways = accumulate(range(fewer), lambda way, k: way * (n - k) // (k + 1), initial=1)
    return min(1.0, 2 * sum(ways) / 2**n)  # both tails are as probable


def difference_interval(
    only_a: int, only_b: int, n: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the accuracy of B minus that of A, on the same images.

    The images form a table of four cells: both right, only A, only B, both wrong. The
    interval is the normal one for the difference of paired proportions, after 1/2 is added
    to each cell, so that it has a width even if both models are right on the same images:
    Agresti and Min, Simple improved confidence intervals for comparing matched proportions,
    Statistics in Medicine 24 (2005).

    Args:
        only_a: the number of images that only A classifies correctly.
        only_b: the number of images that only B classifies correctly.
        n: the number of images, at least 1.
        level: the confidence level.

    Returns:
        low, high: from -1 to 1.
    """
    n_added, a, b = n + 2, only_a + 0.5, only_b + 0.5
    difference = (b - a) / n_added
    deviation = math.sqrt((a + b) / n_added - difference**2)
    margin = _quantile(level) * deviation / math.sqrt(n_added)
    return max(difference - margin, -1.0), min(difference + margin, 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that may be compared with one level, although there are several.

    If all models are equally good, the probability that any adjusted p-value is at most
    the level is at most the level: Holm, A simple sequentially rejective multiple test
    procedure, Scandinavian Journal of Statistics 6 (1979). The smallest of m is multiplied
    by m, the next by m - 1 and so on, but none becomes smaller than the one before it, or
    larger than 1. SciPy only has corrections for another purpose.

    Args:
        p_values: from 0 to 1, in any order.

    Returns:
        The adjusted p-values, in the same order.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    ascending = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(ascending):
        largest = max(largest, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted


def log_loss_interval(
    losses_a: np.ndarray, losses_b: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of the log loss of B minus that of A, on the same images.

    The paired bootstrap: images are drawn with replacement, and each keeps both losses. The
    interval contains the central part of the mean differences: Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 13. The differences are rounded to a grid
    on which their sums are exact, and the result to six decimals, so that it is the same on
    every processor.

    Args:
        losses_a: (n_samples,) -log p(actual class) of each image, at least two, in nats.
        losses_b: (n_samples,) those of the other model.
        level: the confidence level.
        seed: of the random numbers.

    Returns:
        low, high: in nats, rounded to six decimals.
    """
    from scipy import stats  # noqa: PLC0415 (slow to import)

    differences = losses_b - losses_a
    n_samples = len(differences)
    step = grid.exact_step(n_samples * float(np.abs(differences).max()))
    result = stats.bootstrap(
        (grid.round_to(differences, step),),
        np.mean,
        n_resamples=N_RESAMPLES,
        batch=max(1, MOST_PER_BATCH // n_samples),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = (float(end) for end in result.confidence_interval)
    return round(low, 6) + 0.0, round(high, 6) + 0.0
