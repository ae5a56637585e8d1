"""Least squares on one-hot labels: a score for each class, near 1 for the right one."""

from typing import Literal

import numpy as np

from digits.config.blocks import TrainBlock
from digits.models import Course
from digits.models.linear import LinearModel


class Options(TrainBlock):
    """Least squares on one-hot labels."""

    summary = "Least squares on one number for each class, 1 if it is that, else 0"

    model: Literal["one_hot_regression"]


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    _options: Options,
    course: Course,
) -> LinearModel:
    """Fit one line for each class; the largest decides."""
    from digits.solvers.least_squares import LinearRegression  # noqa: PLC0415 (SciPy takes a moment)

    lines = LinearRegression().fit(images, np.eye(len(classes))[y])
    course.record(1, "mean squared error", lines.mse_)
    return LinearModel(
        mean=lines.mean_,
        scale=lines.scale_,
        coef=lines.coef_,
        intercept=lines.intercept_,
        classes=classes,
        decision="largest",
    )
