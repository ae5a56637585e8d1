"""One softmax model over all classes."""

from typing import Literal

import numpy as np

from digits.methods import logistic_regression
from digits.methods.logistic_regression import LogisticBlock
from digits.models import Course
from digits.models.linear import LinearModel


class Options(LogisticBlock):
    """L2-regularised softmax regression."""

    summary = "One softmax model over all its classes; the largest probability wins"

    model: Literal["multinomial_logistic"]


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> LinearModel:
    """Fit the class indices."""
    return logistic_regression.fit(images, y, classes, options, course, decision="softmax")
