"""Least squares on random features with receptive fields.

    feature = 1 / (1 + exp(-2 weights · pixels / 255))

The weights of a feature are the difference of two training images of different classes
within a random rectangle, its receptive field, and 0 elsewhere, scaled to length 2. Only
the last layer is fitted.

Source: McDonnell, Tissera, Vladusich, van Schaik and Tapson, "Fast, simple and accurate
handwritten digit classification by training shallow neural network classifiers with the
'extreme learning machine' algorithm", 2015.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits import grid
from digits.config.blocks import Ridge, Seed, TrainBlock
from digits.errors import InputError
from digits.models.base import TrainingSet
from digits.models.features import STEP, FeatureModel, require_memory, solve
from digits.models.training_log import TrainingLog

EXPONENT_STEP = 4 * STEP
MOST_DRAWS = 50_000  # of a receptive field; on MNIST, five are enough on average
TILE = 64  # rows whose features are computed at a time, in the processor's cache


class Options(TrainBlock):
    """Least squares on random features, each with a receptive field."""

    summary = "Least squares on random features with receptive fields"

    model: Literal["random_features"]
    features: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Number of features; the products of all pairs must fit into memory."
    )
    ridge: Ridge
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class RandomFeatureModel(FeatureModel):
    """A fitted model on random features.

    Attributes:
        weights: (n_features, n_pixels) float32.
    """

    model_type: ClassVar[str] = "random_features"
    pixel_array: ClassVar[str] = "weights"
    weights: np.ndarray

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the features, from 0 to 1."""
        return sigmoid_features(X, self.weights)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return super()._shapes() | {
            "weights": (self.coef.shape[-1], self.weights.shape[-1])
        }


MODEL = RandomFeatureModel


def sigmoid_features(X: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the features of images.

    Args:
        X: (n_samples, n_pixels) uint8.
        weights: (n_features, n_pixels) float32.

    Returns:
        (n_samples, n_features) float64, multiples of STEP from 0 to 1.
    """
    sums = X.astype(np.float32) @ weights.T  # exact
    F = np.empty(sums.shape)
    for i in range(0, len(F), TILE):
        exponent = np.multiply(sums[i : i + TILE], -2 / 255, out=F[i : i + TILE])
        np.exp(grid.snap(exponent, EXPONENT_STEP), out=exponent)
        exponent += 1
        grid.snap(np.divide(1, exponent, out=exponent), STEP)
    return F


def random_weights(
    images: np.ndarray, y: np.ndarray, n_features: int, seed: int
) -> np.ndarray:
    """Draw the weights of the features.

    The sides of a receptive field are from a third of the image's to all of it.

    Args:
        images: (n_samples, height, width) uint8.
        y: (n_samples,) class indices.
        n_features: Number of features.
        seed: Seed of the random draws.

    Returns:
        (n_features, n_pixels) float32.

    Raises:
        InputError: If the images of different classes hardly ever differ.
    """
    random = np.random.default_rng(seed)
    height, width = images.shape[1:]
    weights = np.zeros((n_features, height, width))
    for field in weights:
        for _ in range(MOST_DRAWS):
            if field.any():
                break
            i, j = random.integers(len(images), size=2)
            rows, columns = (
                np.sort(random.integers(side + 1, size=2)) for side in (height, width)
            )
            large = np.diff(rows) >= height / 3 and np.diff(columns) >= width / 3
            if y[i] != y[j] and large:
                inside = np.s_[slice(*rows), slice(*columns)]
                field[inside] = images[i][inside].astype(float) - images[j][inside]
        if not field.any():
            raise InputError(
                f"train.features: in {MOST_DRAWS:,} draws, no two images of different "
                "classes differ in a receptive field"
            )
    flat = weights.reshape(n_features, -1)
    flat *= 2 / np.sqrt((flat * flat).sum(axis=1, keepdims=True))
    # every sum of a weight times a grey value is exact in float32
    largest = 255 * np.abs(flat).sum(axis=1)
    steps = np.array([grid.exact_step(bound, grid.EXACT_BITS_32) for bound in largest])
    return grid.round_to(flat, steps[:, None]).astype(np.float32)


def fit(
    data: TrainingSet, options: Options, training_log: TrainingLog
) -> RandomFeatureModel:
    """Draw the features and fit the scores."""
    requested = f"train.features: {options.features}"
    require_memory(options.features, data, requested)
    weights = random_weights(data.images, data.y, options.features, options.seed)
    coef, intercept = solve(
        lambda X: sigmoid_features(X, weights),
        data,
        options.ridge,
        training_log,
        requested=requested,
    )
    return RandomFeatureModel(
        classes=data.classes, coef=coef, intercept=intercept, weights=weights
    )
