"""Least squares between each two classes; the pairs vote."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from digits.config.blocks import TrainBlock
from digits.models.base import Model, TrainingSet
from digits.models.linear import affine
from digits.models.pairs import pairs, select, votes
from digits.models.training_log import TrainingLog


class Options(TrainBlock):
    """Least squares of each class against each other, with votes."""

    summary = "Least squares for each pair of classes; a majority vote decides"

    model: Literal["pairwise_regression"]


@dataclass(frozen=True, kw_only=True)
class PairwiseRegression(Model):
    """A linear model for each pair of classes.

    Attributes:
        coef: (n_pairs, n_pixels) float64, of grey values.
        intercept: (n_pairs,) float64.
    """

    model_type: ClassVar[str] = "pairwise_regression"
    pixel_array: ClassVar[str] = "coef"
    coef: np.ndarray
    intercept: np.ndarray

    def _scores(self, X: np.ndarray) -> np.ndarray:
        margins = affine(X.astype(np.float64), self.coef, self.intercept)
        return votes(margins, len(self.classes))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_pairs = len(pairs(len(self.classes)))
        return {"coef": (n_pairs, self.coef.shape[-1]), "intercept": (n_pairs,)}


MODEL = PairwiseRegression


def fit(
    data: TrainingSet, _options: Options, training_log: TrainingLog
) -> PairwiseRegression:
    """Fit +1 for the first class of each pair and -1 for the second."""
    from digits.solvers.least_squares import LinearRegression  # noqa: PLC0415 (SciPy takes a moment)

    coef, intercept = [], []
    for step, pair in enumerate(pairs(len(data.classes)), 1):
        rows, signs = select(data.y, pair)
        regression = LinearRegression().fit(data.images[rows], signs)
        coef.append(regression.coef_[0] / regression.scale_)
        intercept.append(regression.intercept_[0] - coef[-1] @ regression.mean_)
        training_log.record(step, "mean squared error", regression.mse_)
    return PairwiseRegression(
        classes=data.classes, coef=np.array(coef), intercept=np.array(intercept)
    )
