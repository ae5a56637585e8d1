"""A quadratic polynomial of the principal components, fitted by least squares.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998: 40 components, and all their products of two.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models import Course
from digits.models.features import FeatureModel, refuse_what_is_too_large, solve
from digits.parallel import map_row_blocks, sum_tuples


class Options(TrainBlock):
    """Least squares on principal components and their products of two."""

    summary = "Least squares on principal components and their products of two"

    model: Literal["principal_quadratic"]
    # as many as the largest images have pixels, 64 by 64
    components: Annotated[int, Field(ge=1, le=4096)] = Field(
        description="How many components; at most as many as there are pixels."
    )


@dataclass(frozen=True, kw_only=True)
class QuadraticModel(FeatureModel):
    """A fitted polynomial.

    mean: (n_pixels,) float64, in grey values
    components: (n_components, n_pixels) float64, of unit variance in training
    """

    kind: ClassVar[str] = "principal_quadratic"
    mean: np.ndarray
    components: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return len(self.mean)

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the components and their products of two."""
        return polynomial((X - self.mean) @ self.components.T)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        k = len(self.components)
        return super()._shapes() | {
            "mean": (self.mean.size,),
            "components": (k, self.mean.size),
            "coef": (len(self.classes), k + k * (k + 1) // 2),
        }


MODEL = QuadraticModel


def polynomial(Z: np.ndarray) -> np.ndarray:
    """Return Z, (n_samples, n), and its products of two: n + n (n + 1) / 2 columns."""
    i, j = np.triu_indices(Z.shape[1])
    return np.hstack([Z, Z[:, i] * Z[:, j]])


def principal_components(images: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, (n_pixels,), and n components of unit variance, (n, n_pixels).

    images: (n_samples, height, width) uint8
    """
    X = images.reshape(len(images), -1)

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


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> QuadraticModel:
    """Find the components, and fit the polynomial."""
    k, n_pixels = options.components, images[0].size
    if k > n_pixels:
        raise InputError(f"train.components: {k} are more than the {n_pixels} pixels")
    n_features = k + k * (k + 1) // 2
    asked = f"train.components: {k}, that is {n_features} products,"
    refuse_what_is_too_large(n_features, images, asked)
    mean, components = principal_components(images, options.components)

    def features(X: np.ndarray) -> np.ndarray:
        return polynomial((X - mean) @ components.T)

    coef, intercept = solve(features, images, y, 0.0, course, asked=asked)
    return QuadraticModel(
        classes=classes, coef=coef, intercept=intercept, mean=mean, components=components
    )
