"""Binary logistic regression: one score, the log-odds of the second class."""

from typing import Literal

from digits.models import logistic
from digits.models.base import TrainingSet
from digits.models.decision import Sigmoid
from digits.models.linear import LinearModel
from digits.models.training_log import TrainingLog


class Options(logistic.LogisticBlock):
    """L2-regularised logistic regression: C · Σ log-loss + ½‖w‖²."""

    summary = "Logistic regression: one score, the log-odds of the second class"
    most_classes = 2

    model: Literal["logistic_regression"]


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> LinearModel:
    """Fit the second class against the first."""
    return logistic.fit(data, options, training_log, Sigmoid())
