"""Logistic regression, which three methods fit with different decision rules.

The objective is C · Σ log-loss + ½‖coef‖², on standardised pixels.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from digits.config.blocks import Solver, TrainBlock
from digits.models.base import TrainingSet
from digits.models.decision import Probabilistic, Sigmoid, Softmax
from digits.models.linear import LinearModel, from_estimator
from digits.models.training_log import TrainingLog

SCORED_ROWS = 10_000  # images whose scores are in memory at once
DECADES = 24  # a fit ends about where the bound on the gap is 1e-24

if TYPE_CHECKING:
    from digits.solvers.logistic import Callback


class LogisticBlock(TrainBlock):
    """L2-regularised logistic regression: C · Σ log-loss + ½‖w‖²."""

    has_probabilities = True

    # Below, all coefficients are 0 to many digits; above, the penalty has no effect.
    C: Annotated[float, Field(ge=1e-8, le=1e6)] = Field(
        description="Inverse strength of the penalty."
    )
    max_iter: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Maximum number of iterations."
    )
    tol: Annotated[float, Field(ge=1e-24, lt=1)] = Field(
        description="fast: by how much, at most, rounding the coefficients may raise the "
        "objective, relative to it; 1e-8 if this is larger. scikit_learn: its own tol."
    )
    solver: Solver = Field(
        default="fast",
        description="Both find the same model; fast finds it to the byte everywhere.",
    )


def fit(
    data: TrainingSet,
    options: LogisticBlock,
    training_log: TrainingLog,
    decision: Probabilistic,
) -> LinearModel:
    """Fit logistic regression.

    Args:
        data: The training images.
        options: The parameters.
        training_log: Log for log-loss and accuracy on the training images.
        decision: `Sigmoid` fits two classes, `OneVsRest` each class against all others,
            `Softmax` all classes jointly.
    """
    # For two classes the solvers fit one binary problem with coefficients w. Those of the
    # softmax are -w/2 and w/2, with half the penalty: hence twice the C.
    is_half = len(data.classes) == 2 and decision == Softmax()  # noqa: PLR2004
    if options.solver == "fast":
        from digits.solvers.logistic import LogisticRegression  # noqa: PLC0415 (SciPy takes a moment)
    else:
        from digits.solvers.sklearn_backend import LogisticRegression  # type: ignore[assignment]  # noqa: PLC0415 (the same interface)
    logistic = LogisticRegression(
        C=2 * options.C if is_half else options.C,
        multi_class="multinomial" if decision == Softmax() else "one_vs_rest",
        tol=options.tol,
        max_iter=options.max_iter,
    )
    if options.solver == "fast":
        logistic.callback = _progress()
    logistic.fit(data.images, data.y)
    coef, intercept = logistic.coef_, logistic.intercept_
    if len(coef) == 1 and decision != Sigmoid():
        coef, intercept = np.vstack([-coef, coef]), np.hstack([-intercept, intercept])
        if is_half:
            coef, intercept = coef / 2, intercept / 2
        logistic.coef_, logistic.intercept_ = coef + 0.0, intercept + 0.0  # no -0.0
    model = from_estimator(logistic, data.classes, decision)
    log_loss, accuracy = _measure(model, data, decision)
    training_log.record(1, "log-loss", log_loss)
    training_log.record(1, "accuracy", accuracy)
    return model


def _measure(
    model: LinearModel, data: TrainingSet, decision: Probabilistic
) -> tuple[float, float]:
    """Return log-loss and accuracy on the training images, part by part."""
    n, n_right = len(data.y), 0

    def log_probabilities() -> Iterator[float]:
        nonlocal n_right
        for start in range(0, n, SCORED_ROWS):
            y = data.y[start : start + SCORED_ROWS]
            scores = model.scores(data.images[start : start + SCORED_ROWS])
            n_right += int((decision.predict(scores) == y).sum())
            yield from decision.log_probabilities(scores)[np.arange(len(y)), y]

    log_loss = -math.fsum(log_probabilities()) / n
    return log_loss, n_right / n


def _progress() -> "Callback":
    """Return a callback that shows the progress."""
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    bar = tqdm(
        total=DECADES, disable=None, leave=False, bar_format="{bar} {desc} after {elapsed}"
    )

    def update(iteration: int, objective: np.ndarray, gap: float) -> None:
        bar.n = min(max(0.0, -math.log10(gap or 1)), DECADES)
        proven = f"at most {gap:.0e} too high" if gap < 1 else f"iteration {iteration}"
        bar.set_description_str(f"objective {objective.sum():,.2f}, {proven}")

    return update
