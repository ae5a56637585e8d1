"""Metrics: functions of class indices and scores that return numbers and tables.

A class is always given by its index, from 0 to n_classes - 1. Sums are rounded once, so
that they do not depend on the order in which a processor adds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Better = Literal["higher", "lower"]
Function = TypeVar("Function", bound=Callable[..., object])

# The direction of each metric, by its name in metrics/<variant>.json.
METRICS: dict[str, Better] = {}


def directions(**better: Better) -> Callable[[Function], Function]:
    """Declare the metrics that a function returns, and whether higher or lower is better.

    Args:
        **better: `higher` or `lower` for each name in metrics/<variant>.json.
    """
    METRICS.update(better)
    return lambda function: function


def confusion(actual: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the confusion matrix.

    Args:
        actual: (n_samples,) class indices.
        predicted: (n_samples,) class indices.
        n_classes: the number of classes.

    Returns:
        (n_classes, n_classes) counts; rows are actual classes, columns predicted ones.
    """
    cells = np.bincount(actual * n_classes + predicted, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


@dataclass(frozen=True)
class Report:
    """The classification report; a ratio whose denominator is 0 is 0.

    Source: scikit-learn's `classification_report` with zero_division=0.

    Attributes:
        precision: (n_classes,) from 0 to 1.
        recall: (n_classes,) from 0 to 1.
        f1: (n_classes,) from 0 to 1.
        support: (n_classes,) number of images of the class.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def report(counts: np.ndarray) -> Report:
    """Return the classification report of a confusion matrix."""
    correct = np.diag(counts)
    support, predicted = counts.sum(axis=1), counts.sum(axis=0)
    return Report(
        precision=_ratio(correct, predicted),
        recall=_ratio(correct, support),
        f1=_ratio(2 * correct, support + predicted),
        support=support,
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide counts; 0 / 0 is 0."""
    return numerator / np.maximum(denominator, 1)


@directions(
    accuracy="higher",
    errors="lower",
    precision_macro="higher",
    recall_macro="higher",
    f1_macro="higher",
)
def scalars(counts: np.ndarray) -> dict[str, float]:
    """Return the metrics of a confusion matrix, by name.

    `errors` is a number of images; the others are from 0 to 1. A macro average is the mean
    over the classes that occur among the actual or the predicted ones, as in
    scikit-learn's `precision_recall_fscore_support`.
    """
    occurs = counts.any(axis=0) | counts.any(axis=1)
    per_class = report(counts[np.ix_(occurs, occurs)])
    n_samples, n_correct = int(counts.sum()), int(np.trace(counts))
    return {
        "accuracy": n_correct / n_samples,
        "errors": n_samples - n_correct,
        "precision_macro": _mean(per_class.precision),
        "recall_macro": _mean(per_class.recall),
        "f1_macro": _mean(per_class.f1),
    }


def _mean(values: np.ndarray) -> float:
    """Return the mean, of a sum that is rounded once."""
    return math.fsum(values) / len(values)


@directions(log_loss="lower")
def log_loss(log_probabilities: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of -log p(actual class), in nats.

    Args:
        log_probabilities: (n_samples, n_classes).
        actual: (n_samples,) class indices.
    """
    return -_mean(log_probabilities[np.arange(len(actual)), actual])


@directions(rmse="lower")
def rmse(scores: np.ndarray, actual: np.ndarray) -> float:
    """Return the root mean squared error.

    Args:
        scores: (n_samples,), estimates of the class index.
        actual: (n_samples,) class indices.
    """
    return math.sqrt(_mean((scores - actual) ** 2))


SWEEP_METRICS = ("accuracy", "precision", "recall")


def threshold_sweep(scores: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return the metrics at each threshold from 0 to 1 in steps of 0.01.

    Args:
        scores: (n_samples,); class 1 is predicted above the threshold.
        actual: (n_samples,) 0 or 1.

    Returns:
        (101, 4): the threshold and the `SWEEP_METRICS`; precision and recall are those of
        class 1.
    """
    rows = []
    for threshold in np.arange(101) / 100:
        counts = confusion(actual, (scores > threshold).astype(np.intp), 2)
        per_class = report(counts)
        rows.append(
            (
                threshold,
                np.trace(counts) / len(actual),
                per_class.precision[1],
                per_class.recall[1],
            )
        )
    return np.array(rows)


@dataclass(frozen=True)
class ScoreHistogram:
    """A histogram of the scores for each actual class.

    Attributes:
        edges: (n_bins + 1,) bounds of equally wide bins.
        counts: (n_classes, n_bins) images; the outermost bins include all scores beyond.
        thresholds: (n_thresholds,) the scores at which the decision changes.
    """

    edges: np.ndarray
    counts: np.ndarray
    thresholds: np.ndarray


def score_histogram(
    scores: np.ndarray,
    actual: np.ndarray,
    n_classes: int,
    thresholds: tuple[float, ...],
    n_bins: int = 60,
) -> ScoreHistogram:
    """Return the histogram of the scores for each actual class.

    The bins span the central 99 % of the scores and all thresholds.

    Args:
        scores: (n_samples,).
        actual: (n_samples,) class indices.
        n_classes: the number of classes.
        thresholds: (n_thresholds,) the scores at which the decision changes; at least one.
        n_bins: the number of bins.
    """
    # as np.percentile, which imports all of numpy.ma
    places = np.array([0.005, 0.995]) * (len(scores) - 1)
    low, high = np.interp(places, np.arange(len(scores)), np.sort(scores))
    # Rounded outwards, so that the last bits of a score do not move an edge.
    low = np.floor(10 * min(low, *thresholds)) / 10
    high = np.ceil(10 * max(high, *thresholds)) / 10 + (low == high)
    edges = np.linspace(low, high, n_bins + 1)
    inside = np.clip(scores, low, high)
    counts = [np.histogram(inside[actual == index], edges)[0] for index in range(n_classes)]
    return ScoreHistogram(edges, np.array(counts), np.array(thresholds))


def margin(scores: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return the margin: the score of the actual class minus the best other score.

    Where it is positive, the class with the largest score is the actual one.

    Args:
        scores: (n_samples, n_classes).
        actual: (n_samples,) class indices.

    Returns:
        (n_samples,).
    """
    rows = np.arange(len(actual))
    others = scores.copy()
    others[rows, actual] = -np.inf
    return scores[rows, actual] - others.max(axis=1)
