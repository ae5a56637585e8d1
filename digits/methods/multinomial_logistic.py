"""One softmax model over all classes."""

import numpy as np

from digits.config.params import Logistic
from digits.methods import logistic_regression
from digits.models import Course
from digits.models.linear import LinearModel


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Logistic,
    course: Course,
) -> LinearModel:
    """Fit the class indices."""
    return logistic_regression.fit(images, y, classes, options, course, decision="softmax")
