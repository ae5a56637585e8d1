"""A variant's parameters, model and predictions, of which the page is made."""

from dataclasses import dataclass

import numpy as np

from digits.config.params import Train
from digits.models.base import Model
from digits.models.decision import Decision


@dataclass(frozen=True)
class Result:
    """A variant: its parameters, its model, and the predictions for the test images.

    Attributes:
        name: The variant's name in params.yaml.
        subset: The name of its subset.
        train: Its block `train` of params.yaml.
        thresholds: Ascending; empty if the decision rule needs none.
        classes: (n_classes,) labels in ascending order.
        decision: The decision rule, which turns scores into a class.
        model: Of a type in `content.MODEL_ARRAYS`, for images without preprocessing; None
            if the page cannot run the model.
        scores: (n_samples, n_outputs) float64.
        actual: (n_samples,) labels.
        predicted: (n_samples,) labels.
        flipped_at: (n_tried,) of the first images: the smallest change of all pixels that
            flips the answer, as `robustness.smallest_levels` returns it.
    """

    name: str
    subset: str
    train: Train
    thresholds: tuple[float, ...]
    classes: np.ndarray
    decision: Decision
    model: Model | None
    scores: np.ndarray
    actual: np.ndarray
    predicted: np.ndarray
    flipped_at: np.ndarray

    @property
    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """The class indices of `actual` and `predicted`, each (n_samples,)."""
        return np.searchsorted(self.classes, self.actual), np.searchsorted(
            self.classes, self.predicted
        )
