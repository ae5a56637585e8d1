"""Labels and scores in, numbers and tables out.

A class is given by its index throughout: 0..n_classes-1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Better = Literal["higher", "lower"]
Function = TypeVar("Function", bound=Callable[..., object])

METRICS: dict[str, Better] = {}  # each name in metrics/<variant>.json, and what is better


def gives(**better: Better) -> Callable[[Function], Function]:
    """Declare the metrics that a function returns, each by its name in the results."""
    METRICS.update(better)
    return lambda function: function


def confusion(actual: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (n_classes, n_classes) counts: actual class by predicted class."""
    cells = np.bincount(actual * n_classes + predicted, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


@dataclass(frozen=True)
class Report:
    """Precision, recall, F1 (0..1) and support (images) of each class, (n_classes,).

    What has nothing to divide by, such as the precision of a class that was never
    predicted, is 0. Source: scikit-learn's `classification_report`, zero_division=0.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def report(counts: np.ndarray) -> Report:
    """Return the classification report of a confusion matrix."""
    right = np.diag(counts)
    support, predicted = counts.sum(axis=1), counts.sum(axis=0)
    return Report(
        precision=_ratio(right, predicted),
        recall=_ratio(right, support),
        f1=_ratio(2 * right, support + predicted),
        support=support,
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, with 0 where there is nothing to divide by."""
    return numerator / np.maximum(denominator, 1)


@gives(
    accuracy="higher",
    errors="lower",
    precision_macro="higher",
    recall_macro="higher",
    f1_macro="higher",
)
def scalars(counts: np.ndarray) -> dict[str, float]:
    """Return accuracy, errors (images) and macro precision, recall and F1."""
    per_class = report(counts)
    n_samples, right = int(counts.sum()), int(np.trace(counts))
    return {
        "accuracy": right / n_samples,
        "errors": n_samples - right,
        "precision_macro": float(per_class.precision.mean()),
        "recall_macro": float(per_class.recall.mean()),
        "f1_macro": float(per_class.f1.mean()),
    }


@gives(log_loss="lower")
def log_loss(log_probabilities: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of -log p(actual class), in nats.

    log_probabilities: (n_samples, n_classes)
    """
    return float(-log_probabilities[np.arange(len(actual)), actual].mean())


@gives(rmse="lower")
def rmse(scores: np.ndarray, actual: np.ndarray) -> float:
    """Return the root mean squared error of one score a sample, (n_samples,)."""
    return float(np.sqrt(np.mean((scores - actual) ** 2)))


SWEPT = ("accuracy", "precision", "recall")


def threshold_sweep(scores: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return what each threshold from 0 to 1 in steps of 0.01 would give.

    scores: (n_samples,), cut at the threshold; actual: (n_samples,) 0 or 1

    Columns of the (101, 4) result: the threshold, and what `SWEPT` names; precision and
    recall are of class 1.
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
class Distribution:
    """How the scores of each class's images are spread.

    edges: (n_bins + 1,) bounds of equally wide bins
    counts: (n_classes, n_bins) images; the outermost bins hold all that lies beyond
    thresholds: (n_thresholds,) the scores at which the decision changes
    """

    edges: np.ndarray
    counts: np.ndarray
    thresholds: np.ndarray


def distribution(
    scores: np.ndarray,
    actual: np.ndarray,
    n_classes: int,
    thresholds: tuple[float, ...],
    n_bins: int = 60,
) -> Distribution:
    """Return the distribution of one score a sample, (n_samples,), per actual class.

    The bins span the middle 99 % of the scores, and the thresholds.
    """
    low, high = np.percentile(scores, (0.5, 99.5))
    # Rounded outwards, so that the last bits of a score move no edge.
    low = np.floor(10 * min(low, *thresholds)) / 10
    high = np.ceil(10 * max(high, *thresholds)) / 10 + (low == high)
    edges = np.linspace(low, high, n_bins + 1)
    inside = np.clip(scores, low, high)
    counts = [np.histogram(inside[actual == index], edges)[0] for index in range(n_classes)]
    return Distribution(edges, np.array(counts), np.array(thresholds))


def margin(scores: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return how far the actual class's score is above the best other, (n_samples,).

    scores: (n_samples, n_classes). Above 0 the decision for the largest is right.
    """
    rows = np.arange(len(actual))
    others = scores.copy()
    others[rows, actual] = -np.inf
    return scores[rows, actual] - others.max(axis=1)
