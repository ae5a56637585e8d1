"""A binary logistic model of each class against all others; the largest score wins."""

from typing import Literal

from digits.models import logistic
from digits.models.base import TrainingSet
from digits.models.decision import OneVsRest
from digits.models.linear import LinearModel
from digits.models.training_log import TrainingLog


class Options(logistic.LogisticBlock):
    """One L2-regularised logistic model for each class."""

    summary = "A binary logistic model for each class; the largest score wins"

    model: Literal["one_vs_rest_logistic"]


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> LinearModel:
    """Fit each class against all others."""
    return logistic.fit(data, options, training_log, OneVsRest())
