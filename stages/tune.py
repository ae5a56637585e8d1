"""Choose parameters of a variant by cross-validation; no test image is read.

Each candidate of the grid is fitted on the training images without one fold, and scored on
that fold. What is done is kept, so a stage that was killed goes on with what is missing.

reads   params.yaml: tuning.<tuning>, and the variant that it names, without the parameters
        of the grid; data/subsets/<subset>/train/
writes  tuning/<tuning>.json: the chosen values, and their accuracy and log loss
        tuning/<tuning>/values.csv: a row for each candidate
        tuning/<tuning>/figure.png: accuracy and log loss of each candidate
"""

import hashlib
import importlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from digits import cluster, methods
from digits.config import cli, fingerprint
from digits.config.params import Params, Variant
from digits.config.tuning import THRESHOLDS, Tuning
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.figures import tuning as figure
from digits.models.training_log import TrainingLog
from digits.tuning import candidates, choice, folds, on_cluster, tasks
from digits.tuning.candidates import Candidate
from digits.tuning.choice import Row, Table
from digits.tuning.tasks import HeldOut, Store, Task
from stages.train import refuse_not_finite, train

log = logging.getLogger(__name__)

WORKERS = 1  # fits at the same time; each has threads, so two linear ones gain nothing
Run = Callable[[Sequence[Task]], Iterator[tuple[Task, HeldOut]]]


def fit(folder: Path, fold: np.ndarray, store: Store, task: Task) -> HeldOut:
    """Fit a model without the images of a fold, and return their scores.

    Args:
        folder: Of the training images, which are read from a memory-mapped file.
        fold: (n_samples,) the fold of each image.
        store: Where a training keeps its checkpoint.
        task: The block `train`, and the fold.

    Raises:
        InputError: The parameters do not suit the data.
    """
    images, labels = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in Split._fields
    )
    return fit_split(Split(images, labels), fold, store.path(task).with_suffix(""), task)


def fit_split(split: Split, fold: np.ndarray, checkpoint_dir: Path, task: Task) -> HeldOut:
    """Fit a model without the images of a fold, and return their scores.

    Args:
        split: The training images and their labels.
        fold: (n_samples,) the fold of each image.
        checkpoint_dir: Where a training keeps its checkpoint.
        task: The block `train`, and the fold.

    Raises:
        InputError: The parameters do not suit the data.
    """
    images, labels = split
    model_name = json.loads(task.train)["model"]
    options = methods.load(model_name).Options.model_validate_json(task.train)
    held_out = fold == task.fold
    training_log = TrainingLog(checkpoint_dir=checkpoint_dir)
    try:
        model = train(Split(images[~held_out], labels[~held_out]), options, training_log)
        refuse_not_finite(model, training_log, images[held_out], options)
    except InputError as error:
        raise InputError(f"the fit without fold {task.fold}: {error}") from error
    return HeldOut(model.scores(images[held_out]), model.decision.name)


def tune(variant: Variant, tuning: Tuning, parts: Sequence[np.ndarray], run: Run) -> Table:
    """Return the table of all candidates.

    Args:
        variant: The variant that is tuned.
        tuning: The candidates.
        parts: The class indices of each fold, (n_held_out,).
        run: Runs tasks, and yields each with its result when it is done.
    """
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    listed: list[Candidate] = []
    for values in tuning.candidates():
        changed = variant.with_values(values)
        block = changed.train.model_dump_json(exclude_unset=True)
        listed.append(Candidate(values, block, changed.evaluate.all_thresholds))
    # Candidates that differ only in thresholds share their fits.
    waiting: dict[str, list[int]] = {}
    for index, candidate in enumerate(listed):
        waiting.setdefault(candidate.train, []).append(index)
    each = range(len(parts))
    done: dict[Task, HeldOut] = {}
    rows: dict[int, Row] = {}
    order = [Task(block, fold) for block in waiting for fold in each]
    with tqdm(total=len(order), desc="fits", disable=None) as bar:
        for task, result in run(order):
            done[task] = result
            bar.update()
            of_block = [Task(task.train, fold) for fold in each]
            if not all(other in done for other in of_block):
                continue
            results = [done.pop(other) for other in of_block]
            for index in waiting[task.train]:
                rows[index] = candidates.row(listed[index], results, parts)
            found = [*rows.values()]
            best = found[choice.best(found, tuning.measure)]
            bar.set_postfix_str(f"best so far: {choice.describe(best, tuning.measure)}")
    return [rows[index] for index in range(len(listed))]


def inputs(model: str, split: Split, fold: np.ndarray) -> str:
    """Return a hash of all that held-out scores depend on, except for parameters.

    Args:
        model: The name of the model, for the code.
        split: The training images.
        fold: (n_samples,) the fold of each image.
    """
    sha256 = hashlib.sha256(json.dumps(fingerprint.compute(f"tune/{model}")).encode())
    for array in (*split, fold):
        sha256.update(f"{array.shape} {array.dtype}".encode())
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


def cross_validate(variant: Variant, tuning: Tuning, folder: Path, store: Path) -> Table:
    """Return the table of all candidates, in the order of the grid.

    Args:
        variant: The variant that is tuned.
        tuning: The candidates and the folds.
        folder: Of the training images.
        store: A folder for what is done.

    Raises:
        InputError: The data cannot be read, or the parameters do not suit it.
    """
    split = dataset.load_split(folder)
    _, y = np.unique(split.labels, return_inverse=True)
    fold = folds.assign(split.labels, tuning.folds, tuning.seed)
    parts = [y[fold == number] for number in range(tuning.folds)]
    kept = Store(store, inputs(variant.train.model, split, fold))
    log.info("%d images in %d folds", len(y), tuning.folds)
    module = fingerprint.paths_of(variant.train.model)
    paths = module and importlib.import_module(module)
    as_path = paths and paths.suits(variant.train, tuning.lists, n_classes=int(y.max()) + 1)
    if client := cluster.current():
        on = on_cluster.Cluster(client, folder, split, fold)
        if paths and as_path:
            log.info("a path over C is one task: one worker computes it")
            run = partial(paths.run_on_cluster, on=on, fold=fold, store=kept)
        else:
            job = importlib.import_module("stages.tune").fit_split  # not of `__main__`
            run = partial(on_cluster.run, on=on, fit=job, store=kept)
        return tune(variant, tuning, parts, run)
    if paths and as_path:
        run = partial(paths.run, images=split.images, y=y, fold=fold, store=kept)
        return tune(variant, tuning, parts, run)
    with tasks.processes(WORKERS) as executor:
        job = partial(fit, folder, fold, kept)
        run = partial(tasks.run, fit=job, store=kept, executor=executor)
        return tune(variant, tuning, parts, run)


def write_table(path: Path, table: Table) -> None:
    """Write the table, and last the name of each candidate, for `dvc plots`.

    Values of parameters are written as in JSON, so that none is rounded.
    """
    keys = choice.parameters(table[0])
    rows = []
    for row in table:
        values = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in row.items()
            if key in keys
        }
        rows.append([*(row | values).values(), choice.named(row, keys)])
    files.write_csv(path, [*table[0], "candidate"], rows)


def main(params: Params, name: str, root: Path) -> None:
    """Load the images, fit and score the candidates, save the table and the choice."""
    tuning = params.tuning[name]
    variant = params.variants[tuning.variant]
    folder = root / "data/subsets" / variant.subset / "train"
    unfinished = root / "data/unfinished/tuning" / name
    try:
        table = cross_validate(variant, tuning, folder, unfinished)
    except InputError as error:
        raise InputError(f"tuning {name}: {error}") from error
    # Thresholds have no order of simplicity.
    ordered = not any(key in THRESHOLDS for key in tuning.grid)
    chosen = choice.choose(table, tuning.measure, ordered=ordered)
    results = root / "tuning"
    write_table(results / name / "values.csv", table)
    title = f"{name}: means of {tuning.folds} folds"
    figure.tuning_plot(results / name / "figure.png", table, title, tuning.measure)
    files.write_json(results / f"{name}.json", choice.metrics(chosen))
    tasks.remove(unfinished)
    for kind, row in chosen.items():
        log.info("%s: %s", kind, choice.describe(row, tuning.measure))


if __name__ == "__main__":
    cli.run(main, __doc__, of="tuning", on_cluster=True)
