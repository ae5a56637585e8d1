"""Logistic regression for many values of C: one path of all folds, from value to value."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from digits.config.blocks import TrainBlock
from digits.models import preprocessing
from digits.models.decision import Decision, OneVsRest, Sigmoid, Softmax
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
    from digits.solvers.path import PathPoint, logistic_path  # noqa: PLC0415 (SciPy takes a moment)

    for path in _paths(task.train for task in tasks):
        Cs, keys = [*path], [Task(block, None) for block in path.values()]
        options = json.loads(keys[0].train)
        rule = RULES[options["model"]]
        done = _done(keys, store)
        for key, result in zip(keys, done, strict=False):
            yield from _by_fold(key, result, fold)
        n_done, after = len(done), None
        if n_done:
            log.info("%d of %d values of C were done before", n_done, len(Cs))
            before = Cs[n_done - 2] if n_done > 1 else 0.0
            after = PathPoint(Cs[n_done - 1], before, done[-1].scores, done[-1].state)
        points = logistic_path(
            preprocessing.apply(images, options.get("preprocess") or "none"),
            y,
            fold,
            Cs[n_done:],
            "multinomial" if rule == Softmax() else "one_vs_rest",
            after=after,
        )
        latest = dict(zip(keys[n_done - 1 : n_done], done[-1:], strict=True))
        for key in keys[n_done:]:
            point = next(points)
            scores = point.scores
            if scores.shape[1] == 1 and rule != Sigmoid():
                scores = np.hstack([-scores, scores])
            result = HeldOut(scores, rule.name, point.state)
            store.save(key, result)
            for other, old in latest.items():  # a state is large, and only the last is used
                store.save(other, old._replace(state=NOTHING))
            latest = {key: result}
            yield from _by_fold(key, result, fold)


def _done(keys: Sequence[Task], store: Store) -> list[HeldOut]:
    """Return the results from the start of a path, of which the last has a state."""
    done = []
    for key in keys:
        if (result := store.load(key)) is None:
            break
        done.append(result)
    while done and not done[-1].state.size:
        done.pop()
    return done


def _paths(blocks: Iterable[str]) -> Sequence[dict[float, str]]:
    """Return the blocks of each path by their C, ascending."""
    paths: dict[str, dict[float, str]] = {}
    for block in dict.fromkeys(blocks):
        options = json.loads(block)
        C = float(options.pop("C"))
        paths.setdefault(json.dumps(options), {})[C] = block
    return [dict(sorted(path.items())) for path in paths.values()]


def _by_fold(
    task: Task, result: HeldOut, fold: np.ndarray
) -> Iterator[tuple[Task, HeldOut]]:
    for number in range(int(fold.max()) + 1):
        scores = result.scores[fold == number]
        yield task._replace(fold=number), HeldOut(scores, result.rule)
