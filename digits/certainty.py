"""How certain are results on a sample of test images?"""


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
    from scipy import stats  # noqa: PLC0415 (slow to import)

    interval = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
