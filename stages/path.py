"""Fit logistic regression of a subset for several values of C, for the report.

This regularisation path shows what the penalty does to weights, errors and robustness. It
is independent of the variants, so that another C of theirs does not run it again. No value
is chosen by it: for that, `digits tune` has folds of the training images.

Each fit is rounded to a grid, as that of a variant is, so each processor gives the same
bytes. So that it takes seconds, it has only some of the training images.

reads   params.yaml: the name of the subset;
        data/subsets/<subset>/train/ and test/
writes  data/paths/<subset>.npz: the models and their measures, as
        digits/report/regularisation.py describes them
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits import metrics
from digits.config import cli
from digits.config.params import Params
from digits.data import dataset
from digits.data.dataset import Split
from digits.errors import InputError
from digits.models import logistic
from digits.models.base import TrainingSet
from digits.models.decision import Probabilistic, Sigmoid, Softmax
from digits.models.training_log import TrainingLog
from digits.report.regularisation import RegularisationPath, drawn_weights
from digits.robustness.linear import half_level

log = logging.getLogger(__name__)

C_VALUES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
MOST_TRAINED = 3_000  # images
MOST_CHANGED = 1_000  # test images whose answers are to be flipped
# Of n_classes · n_pixels², with which the time of a fit grows: 26 classes of MNIST's size.
MOST_WORK = 26 * 784**2


def some_of_each_class(labels: np.ndarray, most: int) -> np.ndarray:
    """Return the first images of each class, in the shares of the classes.

    Args:
        labels: (n_samples,).
        most: About how many images; each class has at least one.

    Returns:
        Row numbers, ascending.
    """
    share = min(1, most / len(labels))
    of_each = (np.flatnonzero(labels == label) for label in np.unique(labels))
    kept = [rows[: max(1, round(share * len(rows)))] for rows in of_each]
    return np.sort(np.concatenate(kept))


def follow(whole: Split, test: Split, values: Sequence[float]) -> RegularisationPath:
    """Fit and measure a model for each value of C.

    A value is left out if its fit is not exact enough to be the same on every processor.

    Args:
        whole: All training images; the models are fitted to some of each class.
        test: The test images.
        values: The values of C, ascending.
    """
    rows = some_of_each_class(whole.labels, MOST_TRAINED)
    train = Split(whole.images[rows], whole.labels[rows])
    classes, y = np.unique(train.labels, return_inverse=True)
    data = TrainingSet(train.images, y, classes)
    decision: Probabilistic = Sigmoid() if len(classes) == 2 else Softmax()  # noqa: PLR2004
    changed = test.images[some_of_each_class(test.labels, MOST_CHANGED)]
    points = []
    for C in values:
        block = logistic.LogisticBlock(model="path", C=C, max_iter=2000, tol=1e-8)
        model = logistic.fit(data, block, TrainingLog(), decision)
        if not model.is_canonical:
            log.warning("C = %g is left out of the path", C)
            continue
        errors, losses = [], []
        for images, labels in (train, test):
            scores, actual = model.scores(images), np.searchsorted(classes, labels)
            errors.append(int((decision.predict(scores) != actual).sum()))
            loss = metrics.log_loss(decision.log_probabilities(scores), actual)
            losses.append(round(loss, 6))
        half = half_level(model, changed)
        points.append((C, *drawn_weights(model), errors, losses, half))
    C_kept, weights, limits, errors_of, losses_of, half_levels = (
        zip(*points, strict=True) if points else ((),) * 6
    )
    n_outputs, n_pixels = decision.n_outputs(len(classes)), train.images[0].size
    return RegularisationPath(
        classes=classes,
        C=np.array(C_kept, np.float64),
        weights=np.array(weights, np.int8).reshape(-1, n_outputs, n_pixels),
        limits=np.array(limits, np.float64),
        errors=np.array(errors_of, np.int64).reshape(-1, 2),
        log_loss=np.array(losses_of, np.float64).reshape(-1, 2),
        half_levels=np.array(half_levels, np.int64),
        sizes=np.array([len(rows), len(whole.labels), len(test.labels), len(changed)]),
    )


def main(params: Params, subset: str, root: Path) -> None:  # noqa: ARG001 (a stage takes them)
    """Load the images, fit and measure the models, save them."""
    folder = root / "data/subsets" / subset
    train, test = (dataset.load_split(folder / name) for name in ("train", "test"))
    n_classes, n_pixels = len(np.unique(train.labels)), train.images[0].size
    same_classes = n_classes > 1 and np.isin(test.labels, train.labels).all()
    if test.images.shape[1:] != train.images.shape[1:] or not same_classes:
        raise InputError(
            f"{folder}: the training and the test images do not belong to each other; "
            "run `dvc repro` to write them again"
        )
    is_large = n_classes * n_pixels**2 > MOST_WORK
    if is_large:
        log.info("%d classes of %d pixels take too long", n_classes, n_pixels)
    path = follow(train, test, () if is_large else C_VALUES)
    path.save(root / "data/paths" / f"{subset}.npz")
    log.info("%s: %d values of C, %d images", subset, len(path.C), path.sizes[0])


if __name__ == "__main__":
    cli.run(main, __doc__, of="subset")
