"""L2-regularised logistic regression: one score, the log-odds of the second class."""

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from tqdm import tqdm

from digits.config.blocks import Solver, TrainBlock
from digits.models import Course, Decision, log_probabilities
from digits.models.linear import LinearModel

if TYPE_CHECKING:
    from digits.solvers.logistic import Callback


class LogisticBlock(TrainBlock):
    """L2-regularised logistic regression: C · Σ log-loss + ½‖w‖²."""

    # Below, all coefficients are 0 to many digits; above, there is no penalty to speak of.
    C: Annotated[float, Field(ge=1e-8, le=1e6)] = Field(
        description="Inverse strength of the penalty."
    )
    max_iter: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Most iterations."
    )
    # float64 proves about 1e-26: the bound is the square of a gradient's rounding
    tol: Annotated[float, Field(ge=1e-24, lt=1)] = Field(
        description="fast: stop when the objective is proven to be at most this far, "
        "relative to it, above the optimum. scikit_learn: its own tol."
    )
    solver: Solver = Field(default="fast", description="Both find the same model.")


class Options(LogisticBlock):
    """L2-regularised logistic regression: C · Σ log-loss + ½‖w‖²."""

    summary = "Logistic regression: one score, the log-odds of the second class"
    most_classes = 2

    model: Literal["logistic_regression"]


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: LogisticBlock,
    course: Course,
    *,
    decision: Decision = "sigmoid",
) -> LinearModel:
    """Fit one problem, one of each class against the rest, or the softmax of all."""
    # Of two classes the solvers fit one problem, whose coefficients are w. Those of the
    # softmax are -w/2 and w/2, with half the penalty: hence twice the C.
    halves = len(classes) == 2 and decision == "softmax"  # noqa: PLR2004
    if options.solver == "fast":
        from digits.solvers.logistic import LogisticRegression  # noqa: PLC0415 (SciPy takes a moment)
    else:
        from digits.solvers.sklearn_backend import LogisticRegression  # type: ignore[assignment]  # noqa: PLC0415 (the same interface)
    logistic = LogisticRegression(
        C=2 * options.C if halves else options.C,
        multi_class="multinomial" if decision == "softmax" else "one_vs_rest",
        tol=options.tol,
        max_iter=options.max_iter,
    )
    if options.solver == "fast":
        logistic.callback = _follow(options.tol, course)
    logistic.fit(images, y)
    coef, intercept = logistic.coef_, logistic.intercept_
    if len(coef) == 1 and decision != "sigmoid":
        coef, intercept = np.vstack([-coef, coef]), np.hstack([-intercept, intercept])
        if halves:
            coef, intercept = coef / 2, intercept / 2
    model = LinearModel(
        mean=logistic.mean_,
        scale=logistic.scale_,
        coef=coef,
        intercept=intercept,
        classes=classes,
        decision=decision,
    )
    if options.solver != "fast":  # it shows nothing on its way
        log_p = log_probabilities(model.scores(images), decision)[np.arange(len(y)), y]
        course.record(int(logistic.n_iter_), "log-loss", -log_p.mean())
    return model


def _follow(tol: float, course: Course) -> "Callback":
    """Return a callback that records each iteration and shows how near the optimum is."""
    bar = tqdm(
        total=-math.log10(tol),
        disable=None,
        leave=False,
        bar_format="{bar} {desc} after {elapsed}",
    )

    def follow(iteration: int, objective: np.ndarray, gap: float) -> None:
        course.record(iteration, "objective", float(objective.sum()))
        if 0 < gap < math.inf:
            course.record(iteration, "log10 of the gap", round(math.log10(gap), 1))
        bar.n = min(max(0.0, -math.log10(gap or tol)), bar.total)
        proven = f"at most {gap:.0e} too high" if gap < 1 else f"iteration {iteration}"
        bar.set_description_str(f"objective {objective.sum():,.2f}, {proven}")
        if gap <= tol:
            bar.close()

    return follow
