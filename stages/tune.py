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
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from digits import methods, metrics, pipeline
from digits.config import cli, fingerprint
from digits.config.params import Params, Variant
from digits.config.tuning import FOUND, THRESHOLDS, Tuning
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.figures import tuning as figure
from digits.models.decision import Probabilistic
from digits.models.training_log import TrainingLog
from digits.thresholds import best_thresholds
from digits.tuning import choice, folds, tasks
from digits.tuning.choice import Row, Table
from digits.tuning.tasks import HeldOut, Store, Task
from stages.train import refuse_not_finite, train

log = logging.getLogger(__name__)


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
    model_name = json.loads(task.train)["model"]
    options = methods.load(model_name).Options.model_validate_json(task.train)
    held_out = fold == task.fold
    training_log = TrainingLog(checkpoint_dir=store.path(task).with_suffix(""))
    try:
        model = train(Split(images[~held_out], labels[~held_out]), options, training_log)
        refuse_not_finite(model, training_log, images[held_out], options)
    except InputError as error:
        raise InputError(f"without fold {task.fold}: {error}") from error
    return HeldOut(model.scores(images[held_out]), model.decision.name)


@dataclass(frozen=True)
class Folds:
    """The training images of a tuning by their folds.

    Attributes:
        actual: (n_samples,) class indices.
        fold: (n_samples,) the fold of each image.
    """

    actual: np.ndarray
    fold: np.ndarray

    @property
    def parts(self) -> list[np.ndarray]:
        """The class indices of each fold's images."""
        return [self.actual[self.fold == number] for number in range(self.number)]

    @property
    def number(self) -> int:
        """How many folds there are."""
        return int(self.fold.max()) + 1

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return int(self.actual.max()) + 1


def measures(
    results: Sequence[HeldOut], parts: Sequence[np.ndarray], thresholds: Sequence[tuple]
) -> tuple[list[float], list[float]]:
    """Return the accuracy and the log loss of each fold; no log loss without probabilities.

    Args:
        results: The scores of each fold.
        parts: The class indices of each fold, (n_held_out,).
        thresholds: Of each fold; empty if the model uses none.
    """
    accuracies, log_losses = [], []
    for (scores, _), actual, bounds in zip(results, parts, thresholds, strict=True):
        decision = results[0].decision
        predicted = decision.predict(scores, bounds)
        accuracies.append(np.count_nonzero(predicted == actual) / len(actual))
        if isinstance(decision, Probabilistic):
            log_losses.append(metrics.log_loss(decision.log_probabilities(scores), actual))
    return accuracies, log_losses


def found_thresholds(
    results: Sequence[HeldOut], parts: Sequence[np.ndarray], n_classes: int
) -> tuple[tuple[float, ...], list[tuple[float, ...]]]:
    """Return the best thresholds on all held-out scores, and those for each fold.

    Those for a fold are found on the scores of the other folds, so that the images that are
    counted had no part in the choice.

    Args:
        results: The scores of each fold.
        parts: The class indices of each fold, (n_held_out,).
        n_classes: The number of classes.
    """

    def best(folds: Sequence[int]) -> tuple[float, ...]:
        scores = np.concatenate([results[number].scores[:, 0] for number in folds])
        actual = np.concatenate([parts[number] for number in folds])
        return best_thresholds(scores, actual, n_classes)[0]

    every = range(len(parts))
    return best(every), [best([n for n in every if n != held_out]) for held_out in every]


def row(
    candidate: dict[str, Any], variant: Variant, results: Sequence[HeldOut], data: Folds
) -> Row:
    """Return the row of a candidate: its values, means and standard errors.

    Args:
        candidate: The value of each parameter.
        variant: With these values.
        results: The scores of each fold.
        data: The class of each image, and its fold.
    """
    parts = data.parts
    thresholds = [variant.evaluate.all_thresholds] * len(parts)
    values = dict(candidate)
    for key in THRESHOLDS:
        if candidate.get(key) == FOUND:
            chosen, thresholds = found_thresholds(results, parts, data.n_classes)
            values[key] = chosen[0] if key == "threshold" else list(chosen)
    return choice.row(values, *measures(results, parts, thresholds))


def code_and_data(model: str, split: Split, fold: np.ndarray) -> str:
    """Return a hash of all that held-out scores depend on, except for parameters."""
    sha256 = hashlib.sha256(json.dumps(fingerprint.compute(f"tune/{model}")).encode())
    for array in (*split, fold):
        sha256.update(f"{array.shape} {array.dtype}".encode())
        sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


def tune(
    variant: Variant,
    tuning: Tuning,
    data: Folds,
    run: Callable[[Iterable[Task]], Iterator[tuple[Task, HeldOut]]],
) -> Table:
    """Return the table of all candidates.

    Args:
        variant: The variant that is tuned.
        tuning: The candidates and the folds.
        data: The class of each image, and its fold.
        run: Runs tasks, and yields each with its result when it is done.
    """
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    candidates = [
        (candidate, variant.with_values(candidate)) for candidate in tuning.candidates()
    ]
    waiting: dict[str, list[int]] = {}  # the candidates with the same fits
    for index, (_, changed) in enumerate(candidates):
        block = changed.train.model_dump_json(exclude_unset=True)
        waiting.setdefault(block, []).append(index)
    order = [Task(block, fold) for block in waiting for fold in range(tuning.folds)]
    done: dict[Task, HeldOut] = {}
    rows: dict[int, Row] = {}
    with tqdm(total=len(order), desc="fits", disable=None) as bar:
        for task, result in run(order):
            done[task] = result
            bar.update()
            of_block = [Task(task.train, fold) for fold in range(tuning.folds)]
            if not all(other in done for other in of_block):
                continue
            results = [done.pop(other) for other in of_block]
            for index in waiting[task.train]:
                rows[index] = row(*candidates[index], results, data)
            found = [*rows.values()]
            top = found[choice.best(found, tuning.measure)]
            bar.set_postfix_str(f"best so far {choice.describe(top, tuning.measure)}")
    return [rows[index] for index in range(len(candidates))]


def workers(model: str) -> int:
    """Return how many fits of a model run at the same time."""
    del model
    return 1


def write_table(path: Path, table: Table) -> None:
    """Write the table, and last the name of each candidate, for `dvc plots`.

    Values of parameters are written as in JSON, so that none is rounded.
    """
    keys = choice.parameters(table[0])
    rows = []
    for found in table:
        values = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in found.items()
            if key in keys
        }
        rows.append([*(found | values).values(), choice.named(found, keys)])
    files.write_csv(path, [*table[0], "candidate"], rows)


def main(params: Params, name: str, root: Path, executor: Executor | None = None) -> None:
    """Load the images, fit and score the candidates, save the table and the choice."""
    tuning = params.tuning[name]
    variant = params.variants[tuning.variant]
    pipeline.refuse_old_tuning(root, name, params.tuning_block(name))
    folder = root / "data/subsets" / variant.subset / "train"
    split = dataset.load_split(folder)
    classes, actual = np.unique(split.labels, return_inverse=True)
    try:
        fold = folds.assign(split.labels, tuning.folds, tuning.seed)
        data = Folds(actual, fold)
        model = variant.train.model
        store = Store(
            root / "data/unfinished/tuning" / name, code_and_data(model, split, fold)
        )
        log.info(
            "%d candidates, %d folds of %d images",
            len([*tuning.candidates()]),
            tuning.folds,
            len(actual),
        )
        with executor or tasks.processes(workers(model)) as pool:
            job = partial(fit, folder, fold, store)
            table = tune(
                variant,
                tuning,
                data,
                partial(tasks.run, fit=job, store=store, executor=pool),
            )
    except InputError as error:
        raise InputError(f"tuning {name}: {error}") from error
    ordered = not any(key in THRESHOLDS for key in tuning.grid)
    chosen = choice.choose(table, tuning.measure, ordered=ordered)
    files.write_json(root / "tuning" / f"{name}.json", choice.metrics(chosen))
    results = root / "tuning" / name
    write_table(results / "values.csv", table)
    title = f"{name}: {tuning.folds} folds of {len(actual):,} training images"
    figure.tuning_plot(results / "figure.png", table, title, tuning.measure)
    store.remove()
    for kind, found in chosen.items():
        log.info("%s: %s", kind, choice.describe(found, tuning.measure))


if __name__ == "__main__":
    cli.run(main, __doc__, of="tuning")
