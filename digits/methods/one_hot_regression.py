"""Least squares on one-hot labels: a score for each class, near 1 for the actual one."""

from typing import Literal

import numpy as np

from digits import cluster
from digits.config.blocks import TrainBlock
from digits.models.base import TrainingSet
from digits.models.decision import Largest
from digits.models.linear import LinearModel, from_estimator
from digits.models.training_log import TrainingLog


class Options(TrainBlock):
    """Least squares on one-hot labels."""

    summary = "Least squares on one-hot labels; the largest score wins"

    model: Literal["one_hot_regression"]


def fit(data: TrainingSet, _options: Options, training_log: TrainingLog) -> LinearModel:
    """Fit a linear score for each class."""
    from digits.solvers.least_squares import LinearRegression  # noqa: PLC0415 (SciPy takes a moment)

    one_hot = np.eye(len(data.classes))[data.y]
    regression = LinearRegression(client=cluster.current()).fit(data.images, one_hot)
    training_log.record(1, "mean squared error", regression.mse_)
    return from_estimator(regression, data.classes, Largest())
