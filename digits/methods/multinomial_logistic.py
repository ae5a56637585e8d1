"""Softmax regression: one model of all classes."""

from typing import Literal

from digits.models import logistic
from digits.models.base import TrainingSet
from digits.models.decision import Softmax
from digits.models.linear import LinearModel
from digits.models.training_log import TrainingLog


class Options(logistic.LogisticBlock):
    """L2-regularised softmax regression."""

    summary = "One softmax model over all classes; the largest probability wins"

    model: Literal["multinomial_logistic"]


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> LinearModel:
    """Fit all classes jointly."""
    return logistic.fit(data, options, training_log, Softmax())
