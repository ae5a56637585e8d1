"""Least squares on a quadratic polynomial of the principal components.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998: 40 components and all products of two of them.
"""

import logging
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits import grid
from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models.base import TrainingSet
from digits.models.features import STEP, FeatureModel, require_memory, solve
from digits.models.training_log import TrainingLog
from digits.parallel import map_row_blocks, sum_tuples

log = logging.getLogger(__name__)

AXIS_STEP = 2.0**-12  # of the components, at unit length
EIGENVECTOR_ERROR = 8 * np.finfo(float).eps


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
        mean: (n_pixels,) float64, whole grey values.
        components: (n_components, n_pixels) float64, from -1 to 1 in training.
    """

    model_type: ClassVar[str] = "principal_quadratic"
    pixel_array: ClassVar[str] = "mean"
    mean: np.ndarray
    components: np.ndarray

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the polynomial of the components."""
        return polynomial(X, self.mean, self.components)

    def largest(self) -> np.ndarray:
        """Return the largest size of each component, and of their products."""
        Z = np.abs(self.components) @ np.maximum(self.mean, 255 - self.mean)
        i, j = np.triu_indices(len(Z))
        return np.concatenate([Z, Z[i] * Z[j]])

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
        mean: (n_pixels,) whole numbers.
        components: (n, n_pixels) multiples of a power of two, so that sums are exact.

    Returns:
        (n_samples, n + n (n + 1) / 2) float64, multiples of STEP.
    """
    n = len(components)
    F = np.empty((len(X), n + n * (n + 1) // 2))
    Z = F[:, :n] = grid.snap((X - mean) @ components.T, STEP)
    start = n
    for i in range(n):
        stop = start + n - i
        np.multiply(Z[:, i:], Z[:, i, None], out=F[:, start:stop])
        start = stop
    grid.snap(F[:, n:], STEP)
    return F


def principal_components(X: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the first n principal components, rounded.

    The covariance has the same bits everywhere: it is computed from exact sums, element by
    element. An eigenvector has an error of about eps λ₁ / gap, where λ₁ is the largest
    eigenvalue and gap the distance to the next one (LAPACK Users' Guide, section 4.7).
    Its elements are rounded to multiples of AXIS_STEP, which hides the error: it is about
    1e-12 on MNIST. If two eigenvalues are nearly the same, a warning is logged. The sign
    is such that the first element that is not 0 is positive. Rounding turns a component
    by about AXIS_STEP √n_pixels / 4, which is 0.002 on MNIST, and the polynomial is
    fitted to the rounded ones.

    Args:
        X: (n_samples, n_pixels) uint8.
        n: Number of components, at most n_pixels.

    Returns:
        mean: (n_pixels,) float64, rounded to whole grey values.
        components: (n, n_pixels) float64, each scaled by a power of two so that the
            largest size that it has in X is from 1/2 to 1.

    Raises:
        InputError: Fewer than n components vary.
    """

    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        F = X[rows].astype(np.float64)  # whole numbers, whose sums are exact
        return F.T @ F, F.sum(axis=0)

    gram, total = sum_tuples(map_row_blocks(moments, len(X)))
    covariance = (len(X) * gram - np.outer(total, total)) / len(X) ** 2
    variances, axes = np.linalg.eigh(covariance)
    variances, axes = variances[::-1], axes.T[::-1][:n]
    if variances[n - 1] <= 1e-9 * variances[0]:
        raise InputError(f"train.components: the images have fewer than {n} that vary")
    gaps = np.append(-np.diff(variances), np.inf)
    gaps = np.minimum(gaps[:n], np.append(np.inf, gaps[: n - 1]))
    errors = EIGENVECTOR_ERROR * variances[0] / np.maximum(gaps, np.finfo(float).tiny)
    if not grid.is_settled(axes, AXIS_STEP, errors[:, None]):
        log.warning(
            "two principal components have nearly the same variance: another processor "
            "may find others, and give other hashes; another number of components can "
            "change that"
        )
    axes = grid.round_to(axes, AXIS_STEP)
    first = axes[np.arange(n), (axes != 0).argmax(axis=1)]
    axes *= np.sign(first)[:, None]
    mean = np.rint(total / len(X))

    def largest(rows: slice) -> np.ndarray:
        return np.abs((X[rows] - mean) @ axes.T).max(axis=0)

    sizes = np.max(map_row_blocks(largest, len(X)), axis=0)
    return mean, np.ldexp(axes, -np.frexp(sizes)[1][:, None])


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
