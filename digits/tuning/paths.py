"""Logistic regression for many values of C: one path of all folds, from value to value."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from digits.config.blocks import TrainBlock
from digits.data.dataset import Split
from digits.models import preprocessing
from digits.models.decision import Decision, OneVsRest, Sigmoid, Softmax
from digits.solvers.path import PathPoint, logistic_path
from digits.tuning import on_cluster
from digits.tuning.tasks import NOTHING, HeldOut, Store, Task

log = logging.getLogger(__name__)

RULES: dict[str, Decision] = {
    "logistic_regression": Sigmoid(),
    "one_vs_rest_logistic": OneVsRest(),
    "multinomial_logistic": Softmax(),
}
OF_SOLVER = {"max_iter", "solver", "tol"}  # the path has its own


def suits(options: TrainBlock, grid: dict[str, list[object]], n_classes: int) -> bool:
    """Return whether a path fits the candidates of a grid.

    The softmax of two classes has half the penalty, and is left to the usual fit.

    Args:
        options: The variant's block `train`.
        grid: The values of each parameter.
        n_classes: The number of classes.
    """
    return (
        options.model in RULES
        and getattr(options, "solver", None) == "fast"
        and len(grid.get("C", ())) > 1
        and OF_SOLVER.isdisjoint(grid)
        and not (options.model == "multinomial_logistic" and n_classes == 2)  # noqa: PLR2004
    )


def run(
    tasks: Iterable[Task], images: np.ndarray, y: np.ndarray, fold: np.ndarray, store: Store
) -> Iterator[tuple[Task, HeldOut]]:
    """Run the tasks on paths; yield each when it is done.

    Args:
        tasks: All folds of some blocks `train`.
        images: (n_samples, height, width) uint8.
        y: (n_samples,) class indices.
        fold: (n_samples,) the fold of each image.
        store: Where results are kept; a path goes on after the last of them.

    Yields:
        Each task and its result.
    """
    for path in of_tasks(tasks):
        before = done(path, store)
        for key, result in before:
            yield from by_fold(key, result, fold)
        latest = dict(before[-1:])
        rest = dict([*path.items()][len(before) :])
        results = follow(rest, images, y, fold, point_after(path, before))
        for block, result in zip(rest.values(), results, strict=True):
            key = Task(block, None)
            store.save(key, result)
            for other, old in latest.items():  # a state is large, and only the last is used
                store.save(other, old._replace(state=NOTHING))
            latest = {key: result}
            yield from by_fold(key, result, fold)


def run_on_cluster(
    order: Iterable[Task], on: on_cluster.Cluster, fold: np.ndarray, store: Store
) -> Iterator[tuple[Task, HeldOut]]:
    """Run the tasks on paths over C, each path as one task; yield their results.

    Args:
        order: All folds of some blocks `train`.
        on: The cluster, with the images.
        fold: (n_samples,) the fold of each image.
        store: Where results are kept; a path goes on after the last of them.

    Yields:
        Each task and its result.
    """
    jobs: list[tuple[dict[float, str], PathPoint | None]] = []
    for path in of_tasks(order):
        before = done(path, store)
        for key, result in before:
            yield from by_fold(key, result, fold)
        rest = dict([*path.items()][len(before) :])
        if rest:
            jobs.append((rest, point_after(path, before)))
    for (rest, _), results in on.run(follow_all, jobs):
        for block, result in zip(rest.values(), results, strict=True):
            key = Task(block, None)
            store.save(key, result)
            yield from by_fold(key, result, fold)


def follow_all(
    split: Split,
    fold: np.ndarray,
    _: Path,
    job: tuple[dict[float, str], PathPoint | None],
) -> list[HeldOut]:
    """Return the results of a path, of which only the last has a state.

    Args:
        split: The images and labels.
        fold: (n_samples,) the fold of each image.
        job: The blocks by their C, and the point before them.
    """
    path, after = job
    y = np.unique(split.labels, return_inverse=True)[1]
    results = [*follow(path, split.images, y, fold, after)]
    return [result._replace(state=NOTHING) for result in results[:-1]] + results[-1:]


def follow(
    path: dict[float, str],
    images: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    after: PathPoint | None,
) -> Iterator[HeldOut]:
    """Yield the result of all folds for each value of C.

    Args:
        path: The blocks `train` by their C, ascending.
        images: (n_samples, height, width) uint8.
        y: (n_samples,) class indices.
        fold: (n_samples,) the fold of each image.
        after: The point before the first of them; None if there is none.
    """
    if not path:
        return
    options = json.loads(next(iter(path.values())))
    rule = RULES[options["model"]]
    points = logistic_path(
        preprocessing.apply(images, options.get("preprocess") or "none"),
        y,
        fold,
        [*path],
        "multinomial" if rule == Softmax() else "one_vs_rest",
        after=after,
    )
    for point in points:
        scores = point.scores
        if scores.shape[1] == 1 and rule != Sigmoid():
            scores = np.hstack([-scores, scores])
        yield HeldOut(scores, rule.name, point.state)


def done(path: dict[float, str], store: Store) -> list[tuple[Task, HeldOut]]:
    """Return the results from the start of a path, of which the last has a state."""
    found: list[tuple[Task, HeldOut]] = []
    for block in path.values():
        if (result := store.load(Task(block, None))) is None:
            break
        found.append((Task(block, None), result))
    while found and not found[-1][1].state.size:
        found.pop()
    if found:
        log.info("%d of %d values of C were done before", len(found), len(path))
    return found


def point_after(
    path: dict[float, str], before: Sequence[tuple[Task, HeldOut]]
) -> PathPoint | None:
    """Return the last point of what is done; None if nothing is."""
    if not before:
        return None
    Cs, result = [*path], before[-1][1]
    previous = Cs[len(before) - 2] if len(before) > 1 else 0.0
    return PathPoint(Cs[len(before) - 1], previous, result.scores, result.state)


def of_tasks(tasks: Iterable[Task]) -> Sequence[dict[float, str]]:
    """Return the blocks of each path by their C, ascending."""
    paths: dict[str, dict[float, str]] = {}
    for block in dict.fromkeys(task.train for task in tasks):
        options = json.loads(block)
        C = float(options.pop("C"))
        paths.setdefault(json.dumps(options), {})[C] = block
    return [dict(sorted(path.items())) for path in paths.values()]


def by_fold(
    task: Task, result: HeldOut, fold: np.ndarray
) -> Iterator[tuple[Task, HeldOut]]:
    """Yield the results of the folds, from that of all folds."""
    for number in range(int(fold.max()) + 1):
        scores = result.scores[fold == number]
        yield task._replace(fold=number), HeldOut(scores, result.rule)
