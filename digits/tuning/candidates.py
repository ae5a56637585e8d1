"""The candidates of a tuning, and their measures on held-out images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits import metrics
from digits.config.tuning import FOUND, THRESHOLDS
from digits.models.decision import Probabilistic
from digits.thresholds import best_thresholds
from digits.tuning import choice
from digits.tuning.choice import Row
from digits.tuning.tasks import HeldOut


@dataclass(frozen=True)
class Candidate:
    """A value of each parameter of the grid.

    Attributes:
        values: By the name of the parameter.
        train: The variant's block `train` with these values, as JSON.
        thresholds: (n_thresholds,) of the variant with these values; empty if it has none.
    """

    values: dict[str, Any]
    train: str
    thresholds: tuple[float, ...]


def row(
    candidate: Candidate, results: Sequence[HeldOut], parts: Sequence[np.ndarray]
) -> Row:
    """Return the row of a candidate: its values, means and standard errors.

    Args:
        candidate: The candidate.
        results: The scores of each fold.
        parts: The class indices of each fold, (n_held_out,).
    """
    thresholds = [candidate.thresholds] * len(parts)
    values = dict(candidate.values)
    for key in THRESHOLDS:
        if values.get(key) == FOUND:
            chosen, thresholds = found_thresholds(results, parts)
            values[key] = chosen[0] if key == "threshold" else list(chosen)
    return choice.row(values, *measures(results, parts, thresholds))


def measures(
    results: Sequence[HeldOut],
    parts: Sequence[np.ndarray],
    thresholds: Sequence[tuple[float, ...]],
) -> tuple[list[float], list[float]]:
    """Return the accuracy and the log loss of each fold; no log loss without probabilities.

    Args:
        results: The scores of each fold.
        parts: The class indices of each fold, (n_held_out,).
        thresholds: Of each fold; empty if the model uses none.
    """
    accuracies: list[float] = []
    log_losses: list[float] = []
    for result, actual, bounds in zip(results, parts, thresholds, strict=True):
        decision, scores = result.decision, result.scores
        right = decision.predict(scores, bounds) == actual
        accuracies.append(int(np.count_nonzero(right)) / len(actual))
        if isinstance(decision, Probabilistic):
            log_losses.append(metrics.log_loss(decision.log_probabilities(scores), actual))
    return accuracies, log_losses


def found_thresholds(
    results: Sequence[HeldOut], parts: Sequence[np.ndarray]
) -> tuple[tuple[float, ...], list[tuple[float, ...]]]:
    """Return the best thresholds on all held-out scores, and those for each fold.

    Those for a fold are found on the scores of the other folds, so that the images that are
    counted had no part in the choice.

    Args:
        results: The scores of each fold.
        parts: The class indices of each fold, (n_held_out,).
    """
    n_classes = int(max(actual.max() for actual in parts)) + 1

    def best(folds: Sequence[int]) -> tuple[float, ...]:
        scores = np.concatenate([results[number].scores[:, 0] for number in folds])
        actual = np.concatenate([parts[number] for number in folds])
        return best_thresholds(scores, actual, n_classes)[0]

    every = range(len(parts))
    return best(every), [best([n for n in every if n != held_out]) for held_out in every]
