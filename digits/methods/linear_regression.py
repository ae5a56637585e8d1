"""Ordinary least squares on the class index: one score, compared with thresholds."""

from typing import Literal

from pydantic import Field

from digits import cluster
from digits.config.blocks import Solver, TrainBlock
from digits.models.base import TrainingSet
from digits.models.decision import Threshold
from digits.models.linear import LinearModel, from_estimator
from digits.models.training_log import TrainingLog


class Options(TrainBlock):
    """Ordinary least squares on the class index."""

    summary = "Least squares on the class index; thresholds turn the score into a class"
    needs_thresholds = True

    model: Literal["linear_regression"]
    solver: Solver = Field(default="fast", description="Both find the same model.")


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> LinearModel:
    """Fit the class index."""
    if options.solver == "fast":
        from digits.solvers.least_squares import LinearRegression  # noqa: PLC0415 (SciPy takes a moment)
    else:
        from digits.solvers.sklearn_backend import LinearRegression  # type: ignore[assignment]  # noqa: PLC0415 (the same interface)
    regression = LinearRegression()
    if options.solver == "fast":
        regression.client = cluster.current()
    regression.fit(data.images, data.y)
    training_log.record(1, "mean squared error", regression.mse_)
    return from_estimator(regression, data.classes, Threshold())
