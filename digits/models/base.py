"""The base class of fitted models, and the data that they are fitted on."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from digits.models import preprocessing
from digits.models.decision import Decision, Largest


class TrainingSet(NamedTuple):
    """The images that a model is fitted on, already preprocessed.

    Attributes:
        images: (n_samples, height, width) uint8, grey values from 0 to 255.
        y: (n_samples,) class indices from 0 to n_classes - 1; each class occurs.
        classes: (n_classes,) uint8, the label of each class, ascending.
    """

    images: np.ndarray
    y: np.ndarray
    classes: np.ndarray

    @property
    def pixels(self) -> np.ndarray:
        """The flattened images, (n_samples, n_pixels) uint8."""
        return flatten(self.images)


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """A fitted model: a frozen dataclass of arrays, numbers and texts.

    A subclass adds its own fields. All fields are saved, by their names.

    Attributes:
        model_type: `linear`, or the name of the module in `digits.methods`.
        pixel_array: The name of an array whose last axis is the pixels.
        classes: (n_classes,) uint8, the label of each class, ascending.
        decision: The rule by which scores become a class.
        preprocess: The preprocessing of images, a name in `preprocessing.NAMES`.
        parameters: The parameters that it was fitted with, as JSON.
    """

    model_type: ClassVar[str]
    pixel_array: ClassVar[str]
    classes: np.ndarray
    decision: Decision = field(default_factory=Largest)
    preprocess: str = "none"
    parameters: str = "{}"

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        n_pixels: int = getattr(self, self.pixel_array).shape[-1]
        return n_pixels

    @property
    def n_outputs(self) -> int:
        """The number of scores of an image."""
        return self.decision.n_outputs(len(self.classes))

    @abstractmethod
    def _scores(self, X: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_outputs) float64 scores.

        Args:
            X: (n_samples, n_pixels) uint8, preprocessed and flattened images.
        """

    @abstractmethod
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape that each array must have, by the name of its field."""

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_outputs) float64 scores.

        Args:
            images: (n_samples, height, width) uint8, grey values from 0 to 255.
        """
        return self._scores(flatten(preprocessing.apply(images, self.preprocess)))

    def problem(self) -> str | None:
        """Return what is wrong with the arrays, None if nothing is."""
        for name, shape in self._shapes().items():
            array = getattr(self, name)
            if array.shape != shape:
                return f"{name} has shape {array.shape}, expected {shape}"
            if array.dtype.kind not in "uif":
                return f"{name} has values of type {array.dtype}, expected numbers"
            if not np.isfinite(array).all():
                return f"{name} has values that are not finite"
        return None


def flatten(images: np.ndarray) -> np.ndarray:
    """Return (n_samples, n_pixels) of (n_samples, height, width) images."""
    return images.reshape(len(images), math.prod(images.shape[1:]))


def are_finite(scores: np.ndarray) -> bool:
    """Return whether all scores and their squares are finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(scores * scores).all())
