"""Fit one variant on the training images of its subset; no test image is read.

reads   params.yaml: variants.<variant>.subset and .train;
        data/subsets/<subset>/train/
writes  data/models/<variant>.npz
        metrics/<variant>/training/curve.csv: the measures recorded during the training
"""

import dataclasses
import logging
import math
from pathlib import Path

import numpy as np

from digits import memory, methods
from digits.config import cli
from digits.config.params import Params, Train
from digits.data import dataset, files, large
from digits.data.dataset import Split
from digits.errors import InputError
from digits.memory import MIB
from digits.models import preprocessing, serialization
from digits.models.base import Model, TrainingSet, are_finite
from digits.models.training_log import TrainingLog

log = logging.getLogger(__name__)

N_SCORED = 100  # images on which the scores of a new model are checked


def train(split: Split, options: Train, training_log: TrainingLog | None = None) -> Model:
    """Preprocess the images and fit the model on class indices.

    Args:
        split: The training images and their labels.
        options: The variant's block `train` in params.yaml.
        training_log: Log for the measures; None records them nowhere.

    Raises:
        InputError: The parameters do not suit the data.
    """
    classes, y = np.unique(split.labels, return_inverse=True)
    preprocess = options.preprocess or "none"
    data = TrainingSet(preprocessing.apply(split.images, preprocess), y, classes)
    method = methods.load(options.model)
    model: Model = method.fit(data, options, training_log or TrainingLog())
    return dataclasses.replace(model, preprocess=preprocess)


def refuse_not_finite(
    model: Model, training_log: TrainingLog, images: np.ndarray, options: Train
) -> None:
    """Check that the arrays, the scores and the recorded measures are finite.

    Args:
        model: The fitted model.
        training_log: Log of its training.
        images: (n_samples, height, width) uint8; the first of them are scored.
        options: The parameters, for the message.

    Raises:
        InputError: One of them is not.
    """
    with np.errstate(all="ignore"):
        problem = model.problem()
        if problem is None and not are_finite(model.scores(images[:N_SCORED])):
            problem = "its scores are not finite"
    measured = (value for *_, value in training_log.rows)
    if problem is None and not all(map(math.isfinite, measured)):
        problem = "a measure of the training is not finite"
    if problem:
        given = ", ".join(
            f"{name} {value:g}"
            for name, value in options.model_dump(exclude={"seed"}).items()
            if isinstance(value, int | float)
        )
        raise InputError(
            f"train: the fit of {options.model} failed ({problem}). Nothing is saved; "
            f"its parameters are the likely cause: {given or 'none'}"
        )


def _require_memory(folder: Path) -> None:
    """Check that there is memory for the libraries and at least two copies of the images.

    Images that are mapped are not copied: half of their size is enough for the scores.

    Raises:
        InputError: There is not.
    """
    path = folder / "images.npy"
    n_bytes = path.stat().st_size if path.exists() else 0
    n_bytes = n_bytes // 2 if n_bytes >= large.MAPPED_FROM else 2 * n_bytes
    solvers = (150 + 40 * memory.threads()) * MIB
    memory.require("training", solvers + n_bytes, libraries=170 * MIB)


def main(params: Params, variant: str, root: Path) -> None:
    """Load the images, fit the model, save it and the measures of its training."""
    chosen = params.variants[variant]
    folder = root / "data/subsets" / chosen.subset / "train"
    _require_memory(folder)
    split = dataset.load_split(folder)
    if (split.labels == split.labels[0]).all():
        raise InputError(
            f"{folder}: all images are of one class, {split.labels[0]}; "
            "run `dvc repro` to write it again"
        )
    log.info("fitting %s on %d images", chosen.train.model, len(split.images))
    training_log = TrainingLog(checkpoint_dir=root / "data/unfinished" / variant)
    try:
        model = train(split, chosen.train, training_log)
        refuse_not_finite(model, training_log, split.images, chosen.train)
    except InputError as error:
        raise InputError(f"variant {variant}: {error}") from error
    model = dataclasses.replace(model, parameters=chosen.text("subset", "train"))
    serialization.save(model, root / "data/models" / f"{variant}.npz")
    files.write_csv(
        root / "metrics" / variant / "training/curve.csv",
        ("step", "measure", "split", "value"),
        training_log.rows,
    )


if __name__ == "__main__":
    cli.run(main, __doc__, of="variant", uses=("subset", "train"), on_cluster=True)
