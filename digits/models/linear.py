"""A fitted linear model.

    scores = (pixels - mean) / scale · coefᵀ + intercept

Only how `coef` and `intercept` were found differs, and that is `solvers`' matter.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from digits.models import Model


@dataclass(frozen=True, kw_only=True)
class LinearModel(Model):
    """A fitted linear model on standardised pixels.

    mean, scale: (n_pixels,) float64, of the training images, in grey values
    coef: (n_outputs, n_pixels) float64
    intercept: (n_outputs,) float64
    """

    kind: ClassVar[str] = "linear"
    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return len(self.mean)

    def _scores(self, images: np.ndarray) -> np.ndarray:
        X = standardise(images, self.mean, self.scale)
        with threadpool_limits(1, "blas"):  # the last bit depends on the number of threads
            return X @ self.coef.T + self.intercept

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_outputs, n_pixels = self.n_outputs, self.mean.size
        return {
            "mean": (n_pixels,),
            "scale": (n_pixels,),
            "coef": (n_outputs, n_pixels),
            "intercept": (n_outputs,),
        }

    def problem(self) -> str | None:
        """Return why this is no model, if so."""
        problem = super().problem()
        if problem is None and (self.scale <= 0).any():
            problem = "scale holds values that are not positive"
        return problem


MODEL = LinearModel


def standardise(images: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return flattened, standardised images, (n_samples, n_pixels) float64."""
    X = images.reshape(len(images), -1).astype(np.float64)
    X -= mean
    X /= scale
    return X
