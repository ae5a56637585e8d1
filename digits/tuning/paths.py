"""Logistic regression for many values of C: one path of all folds, from value to value."""

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from digits.config.blocks import TrainBlock
from digits.models import preprocessing
from digits.models.decision import Decision, OneVsRest, Sigmoid, Softmax
from digits.tuning.tasks import HeldOut, Store, Task

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
    from digits.solvers.path import logistic_path  # noqa: PLC0415 (SciPy takes a moment)

    for path in _paths(task.train for task in tasks):
        options = json.loads(next(iter(path.values())))
        rule = RULES[options["model"]]
        state, waiting = None, dict(path)
        for C, block in path.items():
            found = store.load(Task(block, None))
            if found is None:
                break
            yield from _by_fold(block, found, fold)
            state = found.state
            del waiting[C]
        points = logistic_path(
            preprocessing.apply(images, options.get("preprocess") or "none"),
            y,
            fold,
            [*waiting],
            "multinomial" if rule == Softmax() else "one_vs_rest",
            state=state,
        )
        for block, point in zip(waiting.values(), points, strict=True):
            scores = point.scores
            if scores.shape[1] == 1 and rule != Sigmoid():
                scores = np.hstack([-scores, scores])
            found = HeldOut(scores, rule.name, point.state)
            store.save(Task(block, None), found)
            yield from _by_fold(block, found, fold)


def _paths(blocks: Iterable[str]) -> Sequence[dict[float, str]]:
    """Return the blocks of each path by their C, ascending."""
    paths: dict[str, dict[float, str]] = {}
    for block in dict.fromkeys(blocks):
        options = json.loads(block)
        C = float(options.pop("C"))
        paths.setdefault(json.dumps(options), {})[C] = block
    return [dict(sorted(path.items())) for path in paths.values()]


def _by_fold(
    block: str, found: HeldOut, fold: np.ndarray
) -> Iterator[tuple[Task, HeldOut]]:
    for number in range(int(fold.max()) + 1):
        scores = found.scores[fold == number]
        yield Task(block, number), HeldOut(scores, found.rule)
