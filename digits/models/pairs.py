"""Each class against each other, and votes."""

from itertools import combinations

import numpy as np


def pairs(n_classes: int) -> list[tuple[int, int]]:
    """Return all (i, j) with i < j, in the order in which margins stand."""
    return list(combinations(range(n_classes), 2))


def votes(margins: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (n_samples, n_classes): how many duels each class wins, and how clearly.

    margins: (n_samples, n_pairs), positive where the pair's first class wins, else
        negative

    Classes with as many votes are told apart by the sum of their margins, squashed to
    less than half a vote, as by scikit-learn's `_ovr_decision_function`.
    """
    won = np.zeros((len(margins), n_classes))
    lead = np.zeros_like(won)
    for (i, j), margin in zip(pairs(n_classes), margins.T, strict=True):
        won[:, i] += margin > 0
        won[:, j] += margin <= 0
        lead[:, i] += margin
        lead[:, j] -= margin
    return won + lead / (3 * (np.abs(lead) + 1))
