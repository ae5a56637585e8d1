"""Least squares between each two classes; the pairs vote."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from digits.config.blocks import TrainBlock
from digits.models.base import Model, TrainingSet
from digits.models.linear import affine, on_grids
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
        coef: (n_pairs, n_pixels) float64, of grey values, `on_grids`, so that the margins
            are exact.
        intercept: (n_pairs,) float64, on the same grids.
    """

    model_type: ClassVar[str] = "pairwise_regression"
    pixel_array: ClassVar[str] = "coef"
    coef: np.ndarray
    intercept: np.ndarray

    def _scores(self, X: np.ndarray) -> np.ndarray:
        return votes(affine(X, self.coef, self.intercept), len(self.classes))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_pairs = len(pairs(len(self.classes)))
        return {"coef": (n_pairs, self.coef.shape[-1]), "intercept": (n_pairs,)}


MODEL = PairwiseRegression


def fit(
    data: TrainingSet, _options: Options, training_log: TrainingLog
) -> PairwiseRegression:
    """Fit +1 for the first class of each pair and -1 for the second."""
    from digits.solvers.least_squares import LinearRegression  # noqa: PLC0415 (SciPy takes a moment)

    regressions = []
    for step, pair in enumerate(pairs(len(data.classes)), 1):
        rows, signs = select(data.y, pair)
        regressions.append(LinearRegression().fit(data.images[rows], signs))
        training_log.record(step, "mean squared error", regressions[-1].mse_)
    coef, intercept = on_grids(
        np.array([regression.mean_ for regression in regressions]),
        np.array([regression.scale_ for regression in regressions]),
        np.vstack([regression.coef_ for regression in regressions]),
        np.hstack([regression.intercept_ for regression in regressions]),
    )
    return PairwiseRegression(classes=data.classes, coef=coef, intercept=intercept)
