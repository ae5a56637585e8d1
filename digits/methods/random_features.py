"""Least squares on random features with receptive fields.

    feature = 1 / (1 + exp(-2 weights · pixels / 255))

The weights of a feature are the difference of two training images of different classes,
inside a random rectangle and 0 outside, scaled to length 2. Only the last layer is
fitted. Source: McDonnell, Tissera, Vladusich, van Schaik and Tapson, "Fast, simple and
accurate handwritten digit classification by training shallow neural network classifiers
with the 'extreme learning machine' algorithm", 2015.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import Ridge, Seed, TrainBlock
from digits.models import Course
from digits.models.features import FeatureModel, refuse_what_is_too_large, solve


class Options(TrainBlock):
    """Least squares on random features, each with a receptive field."""

    summary = "Least squares on random features, each of a part of the image"

    model: Literal["random_features"]
    features: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="How many; their products with each other must fit into memory."
    )
    ridge: Ridge
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class RandomModel(FeatureModel):
    """Fitted scores of random features.

    weights: (n_features, n_pixels) float32
    """

    kind: ClassVar[str] = "random_features"
    weights: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return self.weights.shape[1]

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the features, from 0 to 1."""
        return squashed(X, self.weights)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return super()._shapes() | {
            "weights": (self.coef.shape[-1], self.weights.shape[-1])
        }


MODEL = RandomModel


def squashed(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the features of X, (n_samples, n_pixels) uint8, in float64."""
    sums = X.astype(np.float32) @ (weights.T * np.float32(-2 / 255))
    return 1 / (1 + np.exp(sums.astype(np.float64)))


def draw(images: np.ndarray, y: np.ndarray, n_features: int, seed: int) -> np.ndarray:
    """Return weights, (n_features, n_pixels) float32.

    A rectangle has sides from a third of the image to all of it.
    """
    random = np.random.default_rng(seed)
    height, width = images.shape[1:]
    weights = np.zeros((n_features, height, width))
    for field in weights:
        while not field.any():
            i, j = random.integers(len(images), size=2)
            rows, columns = (
                np.sort(random.integers(side + 1, size=2)) for side in (height, width)
            )
            large = np.diff(rows) >= height / 3 and np.diff(columns) >= width / 3
            if y[i] != y[j] and large:
                inside = np.s_[slice(*rows), slice(*columns)]
                field[inside] = images[i][inside].astype(float) - images[j][inside]
    flat = weights.reshape(n_features, -1)
    return (2 * flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> RandomModel:
    """Draw the features, and fit the scores."""
    asked = f"train.features: {options.features}"
    refuse_what_is_too_large(options.features, images, asked)
    weights = draw(images, y, options.features, options.seed)

    def features(X: np.ndarray) -> np.ndarray:
        return squashed(X, weights)

    coef, intercept = solve(features, images, y, options.ridge, course, asked=asked)
    return RandomModel(classes=classes, coef=coef, intercept=intercept, weights=weights)
