"""Models that are linear in features of the pixels.

    scores = features(pixels) · coefᵀ + intercept

`coef` and `intercept` minimise the mean squared error against one-hot labels plus
ridge · ‖coef‖². The class with the largest score is predicted.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.linalg import norm

from digits import memory
from digits.errors import InputError
from digits.models.base import Model, TrainingSet
from digits.models.training_log import TrainingLog
from digits.parallel import BLOCK_ROWS, map_row_blocks, sum_tuples


@dataclass(frozen=True, kw_only=True)
class FeatureModel(Model):
    """A fitted model, linear in its features.

    Attributes:
        coef: (n_classes, n_features) float64.
        intercept: (n_classes,) float64.
    """

    coef: np.ndarray
    intercept: np.ndarray

    @abstractmethod
    def features(self, X: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_features) float64 of X, (n_samples, n_pixels) uint8."""

    def _scores(self, X: np.ndarray) -> np.ndarray:
        parts = map_row_blocks(
            lambda rows: self.features(X[rows]) @ self.coef.T + self.intercept, len(X)
        )
        return np.concatenate(parts)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_classes = len(self.classes)
        return {"coef": (n_classes, self.coef.shape[-1]), "intercept": (n_classes,)}


def require_memory(n_features: int, data: TrainingSet, requested: str) -> None:
    """Check that this number of features of the training images fits into memory.

    Args:
        n_features: Number of features of an image.
        data: The training images.
        requested: The parameter that sets the number of features, and its value.

    Raises:
        InputError: It does not.
    """
    n_samples, n_pixels = data.pixels.shape
    # `solve` has a Gram matrix of each block, and three of all rows
    n_grams = -(-n_samples // BLOCK_ROWS) + 3
    n_bytes = 8 * n_features * (n_features * n_grams + n_pixels)
    memory.require(f"{requested} features of {n_samples} images", n_bytes)


def solve(
    features: Callable[[np.ndarray], np.ndarray],
    data: TrainingSet,
    ridge: float,
    training_log: TrainingLog,
    *,
    requested: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the coefficients by ridge regression on one-hot labels.

    Args:
        features: Function from pixels to features, as `FeatureModel.features`.
        data: The training images.
        ridge: Weight of the penalty, at least 0.
        training_log: Log for the mean squared error.
        requested: The parameter that sets the number of features, and its value.

    Returns:
        coef: (n_classes, n_features) float64.
        intercept: (n_classes,) float64.

    Raises:
        InputError: The features depend on each other, so that the solution would consist
            of rounding errors: there are too many for the images, or all are alike.
    """
    X, y, n_samples = data.pixels, data.y, len(data.y)
    targets = np.eye(len(data.classes))

    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        F = features(X[rows])
        return F.T @ F, F.sum(axis=0), F.T @ targets[y[rows]]

    gram, total, products = sum_tuples(map_row_blocks(moments, n_samples))
    raw = gram / n_samples
    mean, shares = total / n_samples, np.bincount(y) / n_samples
    gram = raw - np.outer(mean, mean)
    products = products / n_samples - np.outer(mean, shares)
    regular = gram + ridge * np.eye(len(gram))
    # the last bits of `raw` are rounded; so much may the solution change, relative to it
    try:
        change = norm(raw, 1) * norm(np.linalg.inv(regular), 1) * np.finfo(float).eps
    except np.linalg.LinAlgError:
        change = np.float64(np.inf)
    if not change < 1:
        raise InputError(
            f"{requested} gives features that depend on each other on these {n_samples} "
            f"images (ridge {ridge:g}); use fewer or other features, or a larger ridge"
        )
    coef = np.linalg.solve(regular, products)
    explained = 2 * (coef * products).sum() - (coef * (gram @ coef)).sum()
    mse = (shares * (1 - shares)).sum() - explained
    training_log.record(1, "mean squared error", mse)
    return coef.T.copy(), shares - mean @ coef
