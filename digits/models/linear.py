"""Models that are linear in the pixels.

    scores = (pixels - mean) / scale · coefᵀ + intercept

Several methods fit one; `digits.solvers` finds `coef` and `intercept`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from digits.models.base import Model


@dataclass(frozen=True, kw_only=True)
class LinearModel(Model):
    """A fitted model, linear in the standardised pixels.

    Attributes:
        mean: (n_pixels,) float64, of the training images, in grey values.
        scale: (n_pixels,) float64, their standard deviation, positive.
        coef: (n_outputs, n_pixels) float64.
        intercept: (n_outputs,) float64.
    """

    model_type: ClassVar[str] = "linear"
    pixel_array: ClassVar[str] = "mean"
    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    def _scores(self, X: np.ndarray) -> np.ndarray:
        return affine(standardise(X, self.mean, self.scale), self.coef, self.intercept)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_outputs, n_pixels = self.n_outputs, self.mean.size
        return {
            "mean": (n_pixels,),
            "scale": (n_pixels,),
            "coef": (n_outputs, n_pixels),
            "intercept": (n_outputs,),
        }

    def problem(self) -> str | None:
        """Return what is wrong with the arrays, None if nothing is."""
        problem = super().problem()
        if problem is None and (self.scale <= 0).any():
            problem = "scale has values that are not positive"
        return problem


MODEL = LinearModel


def standardise(X: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (X - mean) / scale, (n_samples, n_pixels) float64."""
    X = X.astype(np.float64)
    X -= mean
    X /= scale
    return X


def affine(X: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Return X · coefᵀ + intercept, the same bits on any number of processors."""
    with threadpool_limits(1, "blas"):  # the last bit depends on the number of threads
        return X @ coef.T + intercept
