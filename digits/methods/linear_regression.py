"""Ordinary least squares on the class index: one score, to be cut at thresholds."""

import numpy as np

from digits import solvers
from digits.config.params import LinearRegression
from digits.models import Course
from digits.models.linear import LinearModel


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: LinearRegression,
    course: Course,
) -> LinearModel:
    """Fit the class index."""
    line = solvers.named(options.solver).LinearRegression().fit(images, y)
    course.record(1, "mean squared error", line.mse_)
    return LinearModel(
        mean=line.mean_,
        scale=line.scale_,
        coef=line.coef_,
        intercept=line.intercept_,
        classes=classes,
        decision="threshold",
    )
