"""Ordinary least squares on the class index: one score, to be cut at thresholds."""

from typing import Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import Solver, TrainBlock
from digits.models import Course
from digits.models.linear import LinearModel


class Options(TrainBlock):
    """Ordinary least squares on the class index."""

    summary = (
        "Least squares on the class's number as if it were a quantity; the score is cut"
    )
    needs_thresholds = True

    model: Literal["linear_regression"]
    solver: Solver = Field(default="fast", description="Both find the same model.")


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> LinearModel:
    """Fit the class index."""
    if options.solver == "fast":
        from digits.solvers.least_squares import LinearRegression  # noqa: PLC0415 (SciPy takes a moment)
    else:
        from digits.solvers.sklearn_backend import LinearRegression  # type: ignore[assignment]  # noqa: PLC0415 (the same interface)
    line = LinearRegression().fit(images, y)
    course.record(1, "mean squared error", line.mse_)
    return LinearModel(
        mean=line.mean_,
        scale=line.scale_,
        coef=line.coef_,
        intercept=line.intercept_,
        classes=classes,
        decision="threshold",
    )
