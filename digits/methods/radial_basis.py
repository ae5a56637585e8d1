"""A radial basis function network: Gaussian units, then least squares.

    feature = exp(-‖pixels - centre‖² / (2 sigma²))

The centres are found by k-means in each class, the same number in each.
Source: LeCun, Bottou, Bengio and Haffner, 1998: 1000 Gaussian units, then a linear layer.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import Ridge, Seed, TrainBlock
from digits.errors import InputError
from digits.models.base import TrainingSet
from digits.models.distances import centred, gaussian_kernel
from digits.models.features import FeatureModel, require_memory, solve
from digits.models.training_log import TrainingLog
from digits.parallel import map_in_threads

MAX_ITER = 100  # of k-means


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
    """Return exp(-‖x - centre‖² / (2 sigma²)), rounded as in `gaussian_kernel`."""
    return gaussian_kernel(centred(X), centred(centres), 1 / (2 * sigma * sigma))


def cluster(X: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the centres of k-means, rounded to grey values.

    Lloyd's algorithm, from the initial centres of k-means++. A centre is kept as the sum of
    its images and their number. So all matrix products are of whole numbers and exact, and
    the rest is computed element by element: the centres have the same bits everywhere.

    Args:
        X: (n_samples, n_pixels) uint8.
        n: Number of centres.
        seed: Seed of the random initial centres.

    Returns:
        (n, n_pixels) uint8.
    """
    from sklearn.cluster import kmeans_plusplus  # noqa: PLC0415 (it takes seconds)

    F = X.astype(np.float64)
    _, first = kmeans_plusplus(F, n, random_state=seed)
    centre_sums, centre_counts = F[first], np.ones(n)
    sums, counts = np.zeros((n, X.shape[1])), np.zeros(n)
    member = np.eye(n + 1, n)  # the last row is that of images in no cluster
    labels = np.full(len(X), n)
    distances, changed = np.empty((len(X), n)), np.arange(n)
    for _ in range(MAX_ITER):
        S, m = centre_sums[changed], centre_counts[changed]
        squares = np.einsum("ij,ij->i", *2 * [S.astype(np.int64)])
        # ‖x - centre‖² without ‖x‖², which is the same for all centres
        distances[:, changed] = F @ (-2 * S.T) / m + squares / m**2
        nearest = distances.argmin(axis=1)
        moved = np.flatnonzero(nearest != labels)
        if len(moved) == 0:
            break
        change = member[nearest[moved]] - member[labels[moved]]
        labels = nearest
        sums += change.T @ F[moved]
        counts += change.sum(axis=0)
        # a centre without images stays where it is
        changed = np.flatnonzero(change.any(axis=0) & (counts > 0))
        centre_sums[changed], centre_counts[changed] = sums[changed], counts[changed]
    return np.rint(centre_sums / centre_counts[:, None]).astype(np.uint8)


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
        map_in_threads(
            lambda index: cluster(
                data.pixels[data.y == index], counts[index], options.seed
            ),
            range(n_classes),
        )
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
