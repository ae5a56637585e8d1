"""Models that are linear in features of the pixels: what they share.

    scores = features(pixels) · coefᵀ + intercept

`coef` and `intercept` minimise the mean squared error against one-hot labels plus
ridge · ‖coef‖². The largest score decides.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from digits.blocks import add_up, in_blocks
from digits.models import Course, Model


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
        parts = in_blocks(
            lambda rows: self.features(X[rows]) @ self.coef.T + self.intercept, len(X)
        )
        return np.concatenate(parts)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_classes = len(self.classes)
        return {"coef": (n_classes, self.coef.shape[-1]), "intercept": (n_classes,)}


def solve(
    features: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    y: np.ndarray,
    ridge: float,
    course: Course,
) -> tuple[np.ndarray, np.ndarray]:
    """Return coef (n_classes, n_features) and intercept (n_classes,).

    features: as in `FeatureModel`; y: (n_samples,) class indices; ridge: >= 0
    """
    X, n_samples = images.reshape(len(images), -1), len(images)
    targets = np.eye(y.max() + 1)

    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        F = features(X[rows])
        return F.T @ F, F.sum(axis=0), F.T @ targets[y[rows]]

    gram, total, products = add_up(in_blocks(moments, n_samples))
    mean, shares = total / n_samples, np.bincount(y) / n_samples
    gram = gram / n_samples - np.outer(mean, mean)
    products = products / n_samples - np.outer(mean, shares)
    coef = np.linalg.solve(gram + ridge * np.eye(len(gram)), products)
    explained = 2 * (coef * products).sum() - (coef * (gram @ coef)).sum()
    course.record(1, "mean squared error", (shares * (1 - shares)).sum() - explained)
    return coef.T.copy(), shares - mean @ coef
