"""Models that are linear in features of the pixels: what they share.

    scores = features(pixels) · coefᵀ + intercept

`coef` and `intercept` minimise the mean squared error against one-hot labels plus
ridge · ‖coef‖². The largest score decides.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.linalg import norm

from digits import memory
from digits.errors import InputError
from digits.models import Course, Model
from digits.parallel import BLOCK_ROWS, map_row_blocks, sum_tuples


@dataclass(frozen=True, kw_only=True)
class FeatureModel(Model):
    """A fitted model that is linear in its features.

    coef: (n_classes, n_features) float64
    intercept: (n_classes,) float64
    """

    coef: np.ndarray
    intercept: np.ndarray

    @abstractmethod
    def features(self, X: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_features) float64 of X, (n_samples, n_pixels) uint8."""

    def _scores(self, images: np.ndarray) -> np.ndarray:
        X = images.reshape(len(images), -1)
        parts = map_row_blocks(
            lambda rows: self.features(X[rows]) @ self.coef.T + self.intercept, len(X)
        )
        return np.concatenate(parts)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_classes = len(self.classes)
        return {"coef": (n_classes, self.coef.shape[-1]), "intercept": (n_classes,)}


def refuse_what_is_too_large(n_features: int, images: np.ndarray, asked: str) -> None:
    """Raise `InputError` if so many features of the images do not fit into memory.

    asked: the parameter that says how many features, and its value
    """
    n_samples, n_pixels = len(images), images[0].size
    # `solve` has the products of all pairs from each block, and thrice from all
    n_grams = -(-n_samples // BLOCK_ROWS) + 3
    needed = 8 * n_features * (n_features * n_grams + n_pixels)
    memory.require(f"{asked} features of {n_samples} images", needed)


def solve(
    features: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    y: np.ndarray,
    ridge: float,
    course: Course,
    *,
    asked: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return coef (n_classes, n_features) and intercept (n_classes,).

    features: as in `FeatureModel`; y: (n_samples,) class indices; ridge: >= 0; asked: the
    parameter that says how many features, and its value

    Raises `InputError` if the features depend on each other, so that rounding alone would
    decide: with too many for the images, or a width at which all are alike.
    """
    X, n_samples = images.reshape(len(images), -1), len(images)
    targets = np.eye(y.max() + 1)

    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        F = features(X[rows])
        return F.T @ F, F.sum(axis=0), F.T @ targets[y[rows]]

    gram, total, products = sum_tuples(map_row_blocks(moments, n_samples))
    raw = gram / n_samples
    mean, shares = total / n_samples, np.bincount(y) / n_samples
    gram = raw - np.outer(mean, mean)
    products = products / n_samples - np.outer(mean, shares)
    regular = gram + ridge * np.eye(len(gram))
    # `raw` is rounded in its last bits; this is by what share of it a solution may move
    try:
        moved = norm(raw, 1) * norm(np.linalg.inv(regular), 1) * np.finfo(float).eps
    except np.linalg.LinAlgError:
        moved = np.float64(np.inf)
    if not moved < 1:
        raise InputError(
            f"{asked} gives features that depend on each other on these {n_samples} images "
            f"(ridge {ridge:g}); ask for fewer, or for others, or set a larger ridge"
        )
    coef = np.linalg.solve(regular, products)
    explained = 2 * (coef * products).sum() - (coef * (gram @ coef)).sum()
    course.record(1, "mean squared error", (shares * (1 - shares)).sum() - explained)
    return coef.T.copy(), shares - mean @ coef
