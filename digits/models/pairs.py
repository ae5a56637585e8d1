"""One-vs-one: a binary model for each pair of classes, whose votes are the scores."""

from itertools import combinations

import numpy as np


def pairs(n_classes: int) -> list[tuple[int, int]]:
    """Return all (i, j) with i < j, in the order of the margins."""
    return list(combinations(range(n_classes), 2))


def select(y: np.ndarray, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images of a pair and their targets.

    Args:
        y: (n_samples,) class indices.
        pair: Two class indices.

    Returns:
        rows: (n_pair,) indices of the images of both classes, ascending.
        signs: (n_pair,) +1 for the first class, -1 for the second.
    """
    rows = np.flatnonzero((y == pair[0]) | (y == pair[1]))
    return rows, np.where(y[rows] == pair[0], 1, -1)


def votes(margins: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the votes for each class, with fractions that break ties.

    Classes with equally many votes are ranked by the sum of their margins, which is scaled
    to less than half a vote. Source: scikit-learn's `_ovr_decision_function`.

    Args:
        margins: (n_samples, n_pairs), positive for the first class of the pair.
        n_classes: Number of classes, at least 2.

    Returns:
        (n_samples, n_classes) float64.
    """
    won = np.zeros((len(margins), n_classes))
    lead = np.zeros_like(won)
    for (i, j), margin in zip(pairs(n_classes), margins.T, strict=True):
        won[:, i] += margin > 0
        won[:, j] += margin <= 0
        lead[:, i] += margin
        lead[:, j] -= margin
    return won + lead / (3 * (np.abs(lead) + 1))
