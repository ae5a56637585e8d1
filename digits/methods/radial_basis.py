"""Radial basis functions: the nearness to each of many centres, then least squares.

    feature = exp(-‖pixels - centre‖² / (2 width²))

The centres are those of k-means in each class, as many in one class as in another.
Source: LeCun, Bottou, Bengio and Haffner, 1998: 1000 Gaussian units, then a linear layer.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from digits.config.blocks import Ridge, Seed, TrainBlock
from digits.errors import InputError
from digits.models import Course
from digits.models.features import FeatureModel, refuse_what_is_too_large, solve


class Options(TrainBlock):
    """Least squares on the nearness to centres."""

    summary = "Least squares on the nearness to centres that k-means found"

    model: Literal["radial_basis"]
    centres: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="How many, shared out among the classes; one for each at least, and no "
        "more than it has training images."
    )
    # different images are at least 1 apart, and at most 255 times 64, the largest size
    width: Annotated[float, Field(ge=0.01, le=1e6)] = Field(
        description="Standard deviation of the Gaussian, in grey values."
    )
    ridge: Ridge
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class RadialModel(FeatureModel):
    """Fitted radial basis functions.

    centres: (n_centres, n_pixels) uint8
    width: in grey values
    """

    kind: ClassVar[str] = "radial_basis"
    centres: np.ndarray
    width: float

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return self.centres.shape[1]

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the nearness to each centre, from 0 to 1."""
        return nearness(X, self.centres, self.width)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return super()._shapes() | {
            "centres": (self.coef.shape[-1], self.centres.shape[-1])
        }


MODEL = RadialModel


def squared_distances(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return ‖x - y‖², (len(X), len(Y)) float64, exact for whole numbers.

    X, Y: (n, n_pixels) uint8
    """
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    distances = X @ (-2 * Y.T)
    distances += np.einsum("ij,ij->i", X, X)[:, None]
    distances += np.einsum("ij,ij->i", Y, Y)
    return distances


def nearness(X: np.ndarray, centres: np.ndarray, width: float) -> np.ndarray:
    """Return exp(-‖x - c‖² / (2 width²)), (n_samples, n_centres)."""
    return np.exp(squared_distances(X, centres) / (-2 * width**2))


def cluster(X: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the centres of k-means, (n, n_pixels) uint8: rounded to grey values."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 (importing scikit-learn takes seconds)

    with threadpool_limits(1):  # the last bits depend on the number of threads
        found = KMeans(n, n_init=1, max_iter=100, random_state=seed).fit(
            X.astype(np.float64)
        )
    return np.rint(found.cluster_centers_).astype(np.uint8)


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> RadialModel:
    """Find the centres in each class, and fit the scores."""
    X = images.reshape(len(images), -1)
    shares = np.full(len(classes), options.centres // len(classes))
    shares[: options.centres % len(classes)] += 1
    asked = f"train.centres: {options.centres}"
    for label, n_centres, n_images in zip(classes, shares, np.bincount(y), strict=True):
        if not 1 <= n_centres <= n_images:
            raise InputError(
                f"{asked} gives class {label} {n_centres} centres; it has {n_images} "
                "training images, and takes from 1 to as many"
            )
    refuse_what_is_too_large(options.centres, images, asked)
    centres = np.vstack(
        [cluster(X[y == index], n, options.seed) for index, n in enumerate(shares)]
    )

    def features(X: np.ndarray) -> np.ndarray:
        return nearness(X, centres, options.width)

    coef, intercept = solve(features, images, y, options.ridge, course, asked=asked)
    return RadialModel(
        classes=classes,
        coef=coef,
        intercept=intercept,
        centres=centres,
        width=options.width,
    )
