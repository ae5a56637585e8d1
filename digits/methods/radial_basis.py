"""A radial basis function network: Gaussian units, then least squares.

    feature = exp(-‖pixels - centre‖² / (2 sigma²))

The centres are found by k-means in each class, the same number in each.
Source: LeCun, Bottou, Bengio and Haffner, 1998: 1000 Gaussian units, then a linear layer.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from digits.config.blocks import Ridge, Seed, TrainBlock
from digits.errors import InputError
from digits.models.base import TrainingSet
from digits.models.distances import squared_distances
from digits.models.features import FeatureModel, require_memory, solve
from digits.models.training_log import TrainingLog


class Options(TrainBlock):
    """Least squares on the nearness to centres."""

    summary = "Least squares on radial basis functions with centres from k-means"

    model: Literal["radial_basis"]
    centres: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Number of centres, divided among the classes; each gets at least one, "
        "and no more than it has training images."
    )
    # different images have a distance from 1 to 255 times 64, the largest size
    sigma: Annotated[float, Field(ge=0.01, le=1e6)] = Field(
        description="Standard deviation of the Gaussian, in grey values."
    )
    ridge: Ridge
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class RBFNetwork(FeatureModel):
    """A fitted radial basis function network.

    Attributes:
        centres: (n_centres, n_pixels) uint8.
        sigma: The standard deviation of the Gaussians, in grey values.
    """

    model_type: ClassVar[str] = "radial_basis"
    pixel_array: ClassVar[str] = "centres"
    centres: np.ndarray
    sigma: float

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the activation of each Gaussian unit, from 0 to 1."""
        return gaussians(X, self.centres, self.sigma)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return super()._shapes() | {
            "centres": (self.coef.shape[-1], self.centres.shape[-1])
        }


MODEL = RBFNetwork


def gaussians(X: np.ndarray, centres: np.ndarray, sigma: float) -> np.ndarray:
    """Return exp(-‖x - centre‖² / (2 sigma²)).

    Args:
        X: (n_samples, n_pixels) uint8.
        centres: (n_centres, n_pixels) uint8.
        sigma: Standard deviation of the Gaussians, in grey values; positive.

    Returns:
        (n_samples, n_centres) float64, from 0 to 1.
    """
    distances = squared_distances(X.astype(np.float64), centres.astype(np.float64))
    return np.exp(distances / (-2 * sigma**2))


def cluster(X: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the centres of k-means, rounded to grey values.

    Args:
        X: (n_samples, n_pixels) uint8.
        n: Number of centres.
        seed: Seed of the random initial centres.

    Returns:
        (n, n_pixels) uint8.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415 (importing scikit-learn takes seconds)

    with threadpool_limits(1):  # the last bits depend on the number of threads
        found = KMeans(n, n_init=1, max_iter=100, random_state=seed).fit(
            X.astype(np.float64)
        )
    return np.rint(found.cluster_centers_).astype(np.uint8)


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> RBFNetwork:
    """Find the centres of each class and fit the scores."""
    n_classes = len(data.classes)
    counts = np.full(n_classes, options.centres // n_classes)
    counts[: options.centres % n_classes] += 1
    requested = f"train.centres: {options.centres}"
    for label, n_centres, n_images in zip(
        data.classes, counts, np.bincount(data.y), strict=True
    ):
        if not 1 <= n_centres <= n_images:
            raise InputError(
                f"{requested} gives class {label} {n_centres} centres; it must have "
                f"from 1 to {n_images}, the number of its training images"
            )
    require_memory(options.centres, data, requested)
    centres = np.vstack(
        [
            cluster(data.pixels[data.y == index], n, options.seed)
            for index, n in enumerate(counts)
        ]
    )
    coef, intercept = solve(
        lambda X: gaussians(X, centres, options.sigma),
        data,
        options.ridge,
        training_log,
        requested=requested,
    )
    return RBFNetwork(
        classes=data.classes,
        coef=coef,
        intercept=intercept,
        centres=centres,
        sigma=options.sigma,
    )
