"""Fit one variant on its subset's training images; no test image is read.

reads   params.yaml: variants.<variant>.subset and .train;
        data/subsets/<subset>/train/
writes  data/models/<variant>.npz
"""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from digits import cli, dataset, models, solvers
from digits.dataset import Split
from digits.models import Decision, LinearModel
from digits.params import LeastSquares, Logistic, Params
from digits.solvers import Fit

log = logging.getLogger(__name__)


FITS: dict[str, tuple[Callable[..., Fit], Decision]] = {
    "linear_regression": (solvers.least_squares, "threshold"),
    "logistic_regression": (solvers.binary_logistic, "sigmoid"),
    "one_vs_rest_logistic": (solvers.one_vs_rest_logistic, "one_vs_rest"),
    "multinomial_logistic": (solvers.multinomial_logistic, "softmax"),
}


def train(split: Split, options: LeastSquares | Logistic) -> LinearModel:
    """Flatten, standardise, fit."""
    classes, y = np.unique(split.labels, return_inverse=True)
    mean, scale = models.pixel_statistics(split.images)
    X = models.standardise(split.images, mean, scale)
    fit, decision = FITS[options.model]
    coef, intercept = fit(X, y, **options.model_dump(exclude={"model"}))
    return LinearModel(mean, scale, coef, intercept, classes, decision)


def main(params: Params, variant: str, root: Path) -> None:
    """Load, fit, save."""
    chosen = params.variants[variant]
    split = dataset.load_split(root / "data/subsets" / chosen.subset / "train")
    log.info("fitting %s on %d images", chosen.train.model, len(split.images))
    train(split, chosen.train).save(root / "data/models" / f"{variant}.npz")


if __name__ == "__main__":
    cli.run(main, __doc__, of="variant")
