"""A logistic model of each class against the rest; the largest score decides."""

from typing import Literal

import numpy as np

from digits.methods import logistic_regression
from digits.methods.logistic_regression import LogisticBlock
from digits.models import Course
from digits.models.linear import LinearModel


class Options(LogisticBlock):
    """One L2-regularised logistic model for each class."""

    summary = "A yes-or-no logistic model for each class; the largest score wins"

    model: Literal["one_vs_rest_logistic"]


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> LinearModel:
    """Fit the class indices."""
    return logistic_regression.fit(
        images, y, classes, options, course, decision="one_vs_rest"
    )
