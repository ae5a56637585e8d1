"""Fit one variant on its subset's training images; no test image is read.

reads   params.yaml: variants.<variant>.subset and .train;
        data/subsets/<subset>/train/
writes  data/models/<variant>.npz
        metrics/<variant>/training/curve.csv: what was measured on the way
"""

import dataclasses
import logging
import math
from pathlib import Path

import numpy as np

from digits import memory, models
from digits.config import cli
from digits.config.params import Params, Train
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.memory import MIB
from digits.models import Course, Model, preprocessing

log = logging.getLogger(__name__)

SCORED = 100  # images, to see whether a new model gives sound scores


def train(split: Split, options: Train, course: Course | None = None) -> Model:
    """Preprocess the images, and fit the class index."""
    classes, y = np.unique(split.labels, return_inverse=True)
    preprocess = options.preprocess or "none"
    images = preprocessing.apply(split.images, preprocess)
    fit = models.fit_of(options.model)
    model = fit(images, y, classes, options, course or Course())
    return dataclasses.replace(model, preprocess=preprocess)


def refuse_unsound(
    model: Model, course: Course, images: np.ndarray, options: Train
) -> None:
    """Raise `InputError` if what was fitted or measured is not finite.

    images: that it was fitted on; it scores some of them
    """
    with np.errstate(all="ignore"):
        problem = model.problem()
        if problem is None and not models.sound(model.scores(images[:SCORED])):
            problem = "it gives scores that are not finite"
    if problem is None and not all(math.isfinite(value) for *_, value in course.rows):
        problem = "what was measured on the way is not finite"
    if problem:
        given = ", ".join(
            f"{name} {value:g}"
            for name, value in options.model_dump(exclude={"seed"}).items()
            if isinstance(value, int | float)
        )
        raise InputError(
            f"train: the fit of {options.model} failed ({problem}). Nothing is recorded; "
            f"its parameters are the likely cause: {given or 'none'}"
        )


def _require_memory(folder: Path) -> None:
    """Raise `InputError` unless there is room for the solvers and what they compute.

    Each fit holds its images twice at least.
    """
    path = folder / "images.npy"
    n_bytes = path.stat().st_size if path.exists() else 0
    solvers = (150 + 40 * memory.threads()) * MIB
    memory.require("training", solvers + 2 * n_bytes, libraries=170 * MIB)


def main(params: Params, variant: str, root: Path) -> None:
    """Load, fit, save."""
    chosen = params.variants[variant]
    folder = root / "data/subsets" / chosen.subset / "train"
    _require_memory(folder)
    split = dataset.load_split(folder)
    if (split.labels == split.labels[0]).all():
        raise InputError(
            f"{folder}: all images are of one class, {split.labels[0]}; "
            "`dvc repro` writes it anew"
        )
    log.info("fitting %s on %d images", chosen.train.model, len(split.images))
    course = Course(scratch=root / "data/unfinished" / variant)
    try:
        model = train(split, chosen.train, course)
        refuse_unsound(model, course, split.images, chosen.train)
    except InputError as error:
        raise InputError(f"variant {variant}: {error}") from error
    model = dataclasses.replace(model, parameters=chosen.text("subset", "train"))
    model.save(root / "data/models" / f"{variant}.npz")
    files.write_csv(
        root / "metrics" / variant / "training/curve.csv",
        ("step", "measure", "split", "value"),
        course.rows,
    )


if __name__ == "__main__":
    cli.run(main, __doc__, of="variant", uses=("subset", "train"))
