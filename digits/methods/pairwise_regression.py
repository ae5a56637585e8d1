"""Least squares of each class against each other; the lines vote."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from digits.config.blocks import TrainBlock
from digits.models import Course, Model
from digits.models.pairs import pairs, votes


class Options(TrainBlock):
    """Least squares of each class against each other, with votes."""

    summary = "Least squares between each two classes; the lines vote"

    model: Literal["pairwise_regression"]


@dataclass(frozen=True, kw_only=True)
class PairwiseModel(Model):
    """A line for each pair of classes.

    coef: (n_pairs, n_pixels) float64, of grey values
    intercept: (n_pairs,) float64
    """

    kind: ClassVar[str] = "pairwise_regression"
    coef: np.ndarray
    intercept: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return self.coef.shape[1]

    def _scores(self, images: np.ndarray) -> np.ndarray:
        X = images.reshape(len(images), -1).astype(np.float64)
        with threadpool_limits(1, "blas"):  # the last bit depends on the number of threads
            margins = X @ self.coef.T + self.intercept
        return votes(margins, len(self.classes))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_pairs = len(pairs(len(self.classes)))
        return {"coef": (n_pairs, self.coef.shape[-1]), "intercept": (n_pairs,)}


MODEL = PairwiseModel


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    _options: Options,
    course: Course,
) -> PairwiseModel:
    """Fit +1 for the pair's first class and -1 for its second, on their images alone."""
    from digits.solvers.least_squares import (  # noqa: PLC0415 (SciPy takes a moment)
        LinearRegression,
    )

    coef, intercept = [], []
    for step, (i, j) in enumerate(pairs(len(classes)), 1):
        here = (y == i) | (y == j)
        line = LinearRegression().fit(images[here], np.where(y[here] == i, 1, -1))
        coef.append(line.coef_[0] / line.scale_)
        intercept.append(line.intercept_[0] - coef[-1] @ line.mean_)
        course.record(step, "mean squared error", line.mse_)
    return PairwiseModel(
        classes=classes, coef=np.array(coef), intercept=np.array(intercept)
    )
