"""Decision rules: how the scores of an image become a class.

A rule is a small class without state. A saved model has the name of its rule; `RULES` has
the rule of each name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Decision:
    """How scores become a class: there is one for each class, and the largest wins.

    Rules that decide in another way override the methods.

    Attributes:
        name: of the rule, in saved models and on the page.
        label: the heading of the values that are shown for an image.
        has_single_score: whether an image has one score, not one for each class.
        uses_thresholds: whether the user sets the thresholds between the classes.
    """

    name: ClassVar[str]
    label: ClassVar[str] = "score of"
    has_single_score: ClassVar[bool] = False
    uses_thresholds: ClassVar[bool] = False

    def n_outputs(self, n_classes: int) -> int:
        """Return the number of scores of an image."""
        return 1 if self.has_single_score else n_classes

    def n_thresholds(self, n_classes: int) -> int:
        """Return the number of thresholds that the user sets."""
        return n_classes - 1 if self.uses_thresholds else 0

    def predict(self, scores: np.ndarray, thresholds: tuple[float, ...] = ()) -> np.ndarray:  # noqa: ARG002 (for those that use them)
        """Return the predicted classes.

        Args:
            scores: (n_samples, n_outputs).
            thresholds: (n_thresholds,) ascending.

        Returns:
            (n_samples,) class indices.
        """
        return scores.argmax(axis=1)

    def error_size(
        self,
        scores: np.ndarray,
        actual: np.ndarray,
        predicted: np.ndarray,
        thresholds: tuple[float, ...] = (),  # noqa: ARG002 (for those that use them)
    ) -> np.ndarray:
        """Return by how much the scores of misclassified images miss the actual class.

        Args:
            scores: (n_samples, n_outputs).
            actual: (n_samples,) class indices.
            predicted: (n_samples,) class indices, each another than the actual one.
            thresholds: (n_thresholds,) ascending.

        Returns:
            (n_samples,) how far a score would have to move for the prediction to be right.
        """
        rows = np.arange(len(scores))
        return scores[rows, predicted] - scores[rows, actual]


class Largest(Decision):
    """The scores have no meaning but their order."""

    name = "largest"


class Threshold(Decision):
    """One score, compared with ascending thresholds."""

    name = "threshold"
    label = "score"
    has_single_score = True
    uses_thresholds = True

    def predict(self, scores: np.ndarray, thresholds: tuple[float, ...] = ()) -> np.ndarray:
        """Return the number of thresholds below each score."""
        return np.searchsorted(thresholds, scores[:, 0])

    def error_size(
        self,
        scores: np.ndarray,
        actual: np.ndarray,
        predicted: np.ndarray,  # noqa: ARG002 (the others use it)
        thresholds: tuple[float, ...] = (),
    ) -> np.ndarray:
        """Return the distance to the nearest threshold of the actual class."""
        bounds = np.array([-np.inf, *thresholds, np.inf])
        low, high = bounds[actual], bounds[actual + 1]
        return np.maximum(low - scores[:, 0], scores[:, 0] - high)


class Probabilistic(Decision, ABC):
    """Scores from which probabilities follow.

    Attributes:
        is_normalised: whether the probability of each class is divided by their sum.
    """

    label = "probability of"
    is_normalised: ClassVar[bool] = False

    @abstractmethod
    def log_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_classes) logarithms; scores: (n_samples, n_outputs)."""


class Sigmoid(Probabilistic):
    """One score, the log-odds of the second of two classes."""

    name = "sigmoid"
    has_single_score = True

    def predict(self, scores: np.ndarray, thresholds: tuple[float, ...] = ()) -> np.ndarray:  # noqa: ARG002 (the others use them)
        """Return 1 where the log-odds are positive."""
        return (scores[:, 0] > 0).astype(np.intp)

    def error_size(
        self,
        scores: np.ndarray,
        actual: np.ndarray,  # noqa: ARG002 (the others use it)
        predicted: np.ndarray,  # noqa: ARG002 (the others use it)
        thresholds: tuple[float, ...] = (),  # noqa: ARG002 (the others use them)
    ) -> np.ndarray:
        """Return the distance to 0."""
        return np.abs(scores[:, 0])

    def log_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the logarithms of 1 - p and p."""
        return -np.logaddexp(0, np.hstack([scores, -scores]))


class OneVsRest(Probabilistic):
    """A score for each class, its log-odds against all others."""

    name = "one_vs_rest"
    is_normalised = True

    def log_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return them normalised to a sum of one, as scikit-learn does."""
        return _normalised(-np.logaddexp(0, -scores))


class Softmax(Probabilistic):
    """A score for each class, its log-probability up to a constant."""

    name = "softmax"

    def log_probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the logarithm of the softmax."""
        return _normalised(scores)


def _normalised(logits: np.ndarray) -> np.ndarray:
    """Return log-probabilities of which each row sums to one, once exponentiated."""
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


RULES = {
    rule.name: rule for rule in (Threshold(), Sigmoid(), OneVsRest(), Softmax(), Largest())
}
