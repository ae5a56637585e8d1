"""Compare two results on the same test images, image by image.

A result is the confusion matrix and the list of mistakes that `evaluate` writes into
metrics/<variant>/; both are in Git, so the comparison needs neither images nor models. Log
losses need the scores, which are in DVC's cache.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from digits import certainty
from digits.data import files
from digits.errors import InputError
from digits.models import serialization
from digits.models.decision import Probabilistic

Verdict = Literal["better", "worse", "no clear difference"]
Cell = tuple[str, str]  # the actual and the predicted class, by name

UNCLEAR: Verdict = "no clear difference"
N_DECIMALS = 6


@dataclass(frozen=True)
class Result:
    """The result of a variant on its test images.

    Attributes:
        counts: The images in each cell of the confusion matrix.
        mistakes: The cell of each misclassified image, by its index in the test images;
            None if the result is older than mistakes.csv.
        stored: The files of the model and of its predictions; None if they are not at hand.
    """

    counts: Mapping[Cell, int]
    mistakes: Mapping[int, Cell] | None = None
    stored: tuple[Path, Path] | None = None

    @property
    def n_images(self) -> int:
        """The number of test images."""
        return sum(self.counts.values())

    @property
    def n_right(self) -> int:
        """The number of test images that were classified correctly."""
        return sum(
            n for (actual, predicted), n in self.counts.items() if actual == predicted
        )

    @property
    def support(self) -> Counter[str]:
        """The number of test images of each class."""
        support: Counter[str] = Counter()
        for (actual, _), count in self.counts.items():
            support[actual] += count
        return support


def read_counts(text: str) -> dict[Cell, int]:
    """Return the cells of a confusion.csv.

    Raises:
        ValueError: If it is not a confusion matrix.
    """
    counts: dict[Cell, int] = {}
    for actual, predicted, count in _rows(text, ("actual", "predicted", "count")):
        if (actual, predicted) in counts:
            raise ValueError(f"{actual} predicted as {predicted} is there twice")
        counts[actual, predicted] = _whole(count)
    if not sum(counts.values()):
        raise ValueError("it has no images")
    return counts


def read_mistakes(text: str, counts: Mapping[Cell, int]) -> dict[int, Cell]:
    """Return the mistakes in a mistakes.csv.

    Args:
        text: The content of the file.
        counts: The confusion matrix of the same result.

    Raises:
        ValueError: If it is no list of mistakes, or another one than that of the matrix.
    """
    mistakes: dict[int, Cell] = {}
    n_images = sum(counts.values())
    for number, actual, predicted in _rows(text, ("image", "actual", "predicted")):
        image = _whole(number)
        if image >= n_images:
            raise ValueError(f"image {image} of {n_images}, which are counted from 0")
        if image in mistakes:
            raise ValueError(f"image {image} is there twice")
        if not counts.get((actual, predicted)) or actual == predicted:
            raise ValueError(
                f"{actual} predicted as {predicted} is not a mistake in confusion.csv"
            )
        mistakes[image] = actual, predicted
    found = Counter(mistakes.values())
    for (actual, predicted), count in counts.items():
        here = found[actual, predicted]
        if actual != predicted and here != count:
            raise ValueError(
                f"{actual} predicted as {predicted}: {here} here, {count} in confusion.csv"
            )
    return mistakes


def _rows(text: str, header: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows of a table with this header."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if rows[:1] != [[*header]]:
        raise ValueError(f"its header is not {','.join(header)}")
    for row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} columns, not {len(header)}")
        yield row


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a whole number from 0")
    return int(text)


def read_losses(result: Result) -> np.ndarray | None:
    """Return -log p(actual class) of each test image, from the scores that are stored.

    Returns:
        (n_images,) in nats; None if the model has no probabilities, if they are not at hand
        or damaged, or if the scores are those of another result.
    """
    if result.stored is None:
        return None
    model, predictions = result.stored
    try:
        header = serialization.read_header(model)
        if not isinstance(header.decision, Probabilistic):
            return None
        names = ("scores", "predicted", "actual")
        scores, predicted, labels = files.read_npz(
            predictions, names, among_others=True
        ).values()
        wrong = np.flatnonzero(predicted != labels).tolist()
        if (len(labels), wrong) != (result.n_images, sorted(result.mistakes or ())):
            return None
        actual = np.searchsorted(header.classes, labels)
        logarithms = header.decision.log_probabilities(scores)
        losses: np.ndarray = -logarithms[np.arange(len(actual)), actual]
    except (InputError, OSError, ValueError, IndexError):
        return None
    return losses if np.isfinite(losses).all() else None


@dataclass(frozen=True)
class LogLoss:
    """The log losses of two results on the same images, in nats, and their difference.

    Attributes:
        old: Of the older result.
        new: Of the newer result.
        difference: The newer one minus the older one; negative if the newer is better.
        interval: Of the difference.
    """

    old: float
    new: float
    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Two results on the same test images.

    Attributes:
        name: Of the variant, or of the revision if two variants are compared.
        n_images: The number of test images.
        accuracy_old: Of the older result.
        interval_old: Of this accuracy.
        accuracy_new: Of the newer result.
        interval_new: Of this accuracy.
        only_old: The number of images that only the older classified correctly.
        only_new: The number of images that only the newer classified correctly.
        difference: The newer accuracy minus the older one.
        difference_interval: Of the difference.
        p_value: Of McNemar's exact test.
        p_adjusted: The same with Holm's correction for all comparisons.
        verdict: On the newer result, by the adjusted p-value.
        log_loss: None if it is not known for both.
    """

    name: str
    n_images: int
    accuracy_old: float
    interval_old: tuple[float, float]
    accuracy_new: float
    interval_new: tuple[float, float]
    only_old: int
    only_new: int
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    p_adjusted: float
    verdict: Verdict
    log_loss: LogLoss | None = None

    @property
    def is_of_equals(self) -> bool:
        """Whether nothing differs: neither which images are right nor the log loss."""
        loss_differs = self.log_loss is not None and any(self.log_loss.interval)
        return not (self.only_old or self.only_new or loss_differs)


def have_same_images(old: Result, new: Result) -> bool:
    """Return whether two results are of the same test images, as far as they tell.

    They have the same classes, as many images of each, and the same class of each image
    that both misclassify.
    """
    if old.counts.keys() != new.counts.keys() or old.support != new.support:
        return False
    a, b = old.mistakes or {}, new.mistakes or {}
    return all(a[image][0] == b[image][0] for image in a.keys() & b.keys())


def compare(pairs: Mapping[str, tuple[Result, Result]], level: float) -> list[Comparison]:
    """Compare pairs of results on the same test images.

    A pair whose mistakes are of the same images does not count in Holm's correction: its
    p-value is 1, whatever the level.

    Args:
        pairs: The older and the newer result, by name; both with mistakes.
        level: The largest adjusted p-value of a clear difference.

    Returns:
        A comparison of each pair, in their order.
    """
    only = {name: _only_right(*pair) for name, pair in pairs.items()}
    p_values = {name: certainty.mcnemar(*counts) for name, counts in only.items()}
    tested = [name for name, counts in only.items() if any(counts)]
    adjusted = dict(
        zip(tested, certainty.holm([p_values[name] for name in tested]), strict=True)
    )
    return [
        _comparison(
            name, pair, only[name], (p_values[name], adjusted.get(name, 1.0)), level
        )
        for name, pair in pairs.items()
    ]


def _only_right(old: Result, new: Result) -> tuple[int, int]:
    a, b = (old.mistakes or {}).keys(), (new.mistakes or {}).keys()
    return len(b - a), len(a - b)


def _comparison(
    name: str,
    pair: tuple[Result, Result],
    only: tuple[int, int],
    p_values: tuple[float, float],
    level: float,
) -> Comparison:
    (only_old, only_new), (p_value, p_adjusted), n = only, p_values, pair[0].n_images
    old, new = (result.n_right for result in pair)
    verdict: Verdict = UNCLEAR
    if p_adjusted <= level:
        verdict = "better" if only_new > only_old else "worse"
    return Comparison(
        name=name,
        n_images=n,
        accuracy_old=round(old / n, N_DECIMALS),
        interval_old=_rounded(certainty.wilson(old, n, 1 - level)),
        accuracy_new=round(new / n, N_DECIMALS),
        interval_new=_rounded(certainty.wilson(new, n, 1 - level)),
        only_old=only_old,
        only_new=only_new,
        difference=round((only_new - only_old) / n, N_DECIMALS),
        difference_interval=_rounded(
            certainty.difference_interval(only_old, only_new, n, 1 - level)
        ),
        p_value=p_value,
        p_adjusted=p_adjusted,
        verdict=verdict,
        log_loss=_log_loss(*pair, 1 - level),
    )


def _log_loss(older: Result, newer: Result, level: float) -> LogLoss | None:
    if older.stored == newer.stored:  # neither is at hand, or they are the same
        return None
    old, new = read_losses(older), read_losses(newer)
    if old is None or new is None or len(old) < 2:  # noqa: PLR2004 (as the bootstrap needs)
        return None
    return LogLoss(
        old=_mean(old),
        new=_mean(new),
        difference=_mean(new - old),
        interval=certainty.log_loss_interval(old, new, level),
    )


def _mean(values: np.ndarray) -> float:
    return round(math.fsum(values) / len(values), N_DECIMALS) + 0.0


def _rounded(interval: Iterable[float]) -> tuple[float, float]:
    low, high = (round(end, N_DECIMALS) + 0.0 for end in interval)
    return low, high
