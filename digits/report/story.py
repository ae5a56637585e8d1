"""The numbers with which the page answers the questions of its sections."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from digits import certainty
from digits.models.decision import OneVsRest, Probabilistic
from digits.report.result import Result

# How sure a model must be to answer: closer together towards 1.
LEVELS = (
    *(0.0, 0.1, 0.2, 0.3, 0.4),
    *(round(0.45 + 0.05 * i, 2) for i in range(9)),
    *(round(1 - i / 10**places, 5) for places in range(2, 6) for i in range(10, 1, -1)),
    0.99999,
)


def sureness(result: Result) -> np.ndarray:
    """Return the last of the `LEVELS` that each test image's prediction reaches.

    The probability is that of the predicted class. For one-versus-rest it is the one that
    the class's own model gives, so it is below 0.5 where no model says yes.

    Returns:
        (n_samples,) uint8 indices of `LEVELS`.
    """
    decision, scores = result.decision, result.scores
    if isinstance(decision, OneVsRest):
        logarithms = -np.logaddexp(0, -scores.max(axis=1))
    elif isinstance(decision, Probabilistic):
        logarithms = decision.log_probabilities(scores).max(axis=1)
    else:
        raise TypeError(f"{decision.name}: has no probabilities")
    # Rounded, so that the last bits of the exponential reach no other level.
    stated = np.exp(logarithms).round(12)
    return (np.searchsorted(LEVELS, stated, side="right") - 1).astype(np.uint8)


def n_outside(result: Result) -> int:
    """Count the scores below the first class index or above the last one."""
    scores = result.scores[:, 0]
    return int(((scores < 0) | (scores > len(result.classes) - 1)).sum())


def only_right(result: Result, results: Sequence[Result]) -> dict[str, list[int]]:
    """Compare a variant with each other one of the same classes, image by image.

    Returns:
        By the name of the other variant: the number of test images that only the first one
        classifies correctly, and the number that only the other one does.
    """
    right = result.actual == result.predicted
    return {
        other.name: [
            int((right & (other.actual != other.predicted)).sum()),
            int((~right & (other.actual == other.predicted)).sum()),
        ]
        for other in results
        if other is not result and np.array_equal(other.classes, result.classes)
    }


def n_wrong_for_all(results: Sequence[Result]) -> int:
    """Count the images that all variants misclassify, of those with the most classes."""
    most = max(results, key=lambda result: (len(result.classes), n_right(result)))
    right = [
        result.actual == result.predicted
        for result in results
        if np.array_equal(result.classes, most.classes)
    ]
    return int((~np.any(right, axis=0)).sum())


def n_right(result: Result) -> int:
    """Count the test images that a variant classifies correctly."""
    return int((result.actual == result.predicted).sum())


def ranking(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Compare each variant with the next best one of the same classes.

    Returns:
        A comparison of each pair: their names `better` and `other`, the images that `only`
        the one or the other classifies correctly, the `difference` of their accuracies with
        its 95% `interval`, and the p-value of McNemar's exact test, adjusted for all
        comparisons by Holm's method.
    """

    def classes(result: Result) -> list[int]:
        return result.classes.tolist()

    rows: list[dict[str, Any]] = []
    for _, group in groupby(sorted(results, key=classes), classes):
        ranked = sorted(group, key=n_right, reverse=True)
        for better, other in pairwise(ranked):
            only, n = only_right(better, [other])[other.name], len(better.actual)
            rows.append(
                {
                    "better": better.name,
                    "other": other.name,
                    "only": only,
                    "difference": round((only[0] - only[1]) / n, 6),
                    "interval": [
                        round(end, 6) + 0.0
                        for end in certainty.difference_interval(only[1], only[0], n)
                    ],
                }
            )
    adjusted = certainty.holm([certainty.mcnemar(*row["only"]) for row in rows])
    return [row | {"p": float(f"{p:.4g}")} for row, p in zip(rows, adjusted, strict=True)]
