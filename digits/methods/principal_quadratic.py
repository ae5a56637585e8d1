"""Least squares on a quadratic polynomial of the principal components.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998: 40 components and all products of two of them.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models.base import TrainingSet
from digits.models.features import FeatureModel, require_memory, solve
from digits.models.training_log import TrainingLog
from digits.parallel import map_row_blocks, sum_tuples


class Options(TrainBlock):
    """Least squares on principal components and their products of two."""

    summary = "Least squares on principal components and their pairwise products"

    model: Literal["principal_quadratic"]
    # as many as the largest images have pixels, 64 by 64
    components: Annotated[int, Field(ge=1, le=4096)] = Field(
        description="Number of principal components; at most the number of pixels."
    )


@dataclass(frozen=True, kw_only=True)
class QuadraticModel(FeatureModel):
    """A fitted polynomial.

    Attributes:
        mean: (n_pixels,) float64, in grey values.
        components: (n_components, n_pixels) float64, of unit variance in training.
    """

    model_type: ClassVar[str] = "principal_quadratic"
    pixel_array: ClassVar[str] = "mean"
    mean: np.ndarray
    components: np.ndarray

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the polynomial of the components."""
        return polynomial(X, self.mean, self.components)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        k = len(self.components)
        return super()._shapes() | {
            "mean": (self.mean.size,),
            "components": (k, self.mean.size),
            "coef": (len(self.classes), k + k * (k + 1) // 2),
        }


MODEL = QuadraticModel


def polynomial(X: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return the n components of X and all products of two of them.

    Args:
        X: (n_samples, n_pixels) uint8.
        mean: (n_pixels,) float64.
        components: (n, n_pixels) float64.

    Returns:
        (n_samples, n + n (n + 1) / 2) float64.
    """
    Z = (X - mean) @ components.T
    i, j = np.triu_indices(Z.shape[1])
    return np.hstack([Z, Z[:, i] * Z[:, j]])


def principal_components(X: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the first n principal components, scaled to unit variance.

    Args:
        X: (n_samples, n_pixels) uint8.
        n: Number of components, at most n_pixels.

    Returns:
        mean: (n_pixels,) float64.
        components: (n, n_pixels) float64.

    Raises:
        InputError: Fewer than n components vary.
    """

    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        F = X[rows].astype(np.float64)  # whole numbers, whose sums are exact
        return F.T @ F, F.sum(axis=0)

    gram, total = sum_tuples(map_row_blocks(moments, len(X)))
    mean = total / len(X)
    variances, axes = np.linalg.eigh(gram / len(X) - np.outer(mean, mean))
    variances, axes = variances[::-1][:n], axes.T[::-1][:n]
    if variances[-1] <= 1e-9 * variances[0]:
        raise InputError(f"train.components: the images have fewer than {n} that vary")
    return mean, axes / np.sqrt(variances)[:, None]


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> QuadraticModel:
    """Find the components and fit the polynomial."""
    k, n_pixels = options.components, data.pixels.shape[1]
    if k > n_pixels:
        raise InputError(f"train.components: {k} are more than the {n_pixels} pixels")
    n_features = k + k * (k + 1) // 2
    requested = f"train.components: {k}, that is {n_features} products,"
    require_memory(n_features, data, requested)
    mean, components = principal_components(data.pixels, k)
    coef, intercept = solve(
        lambda X: polynomial(X, mean, components),
        data,
        0.0,
        training_log,
        requested=requested,
    )
    return QuadraticModel(
        classes=data.classes,
        coef=coef,
        intercept=intercept,
        mean=mean,
        components=components,
    )
