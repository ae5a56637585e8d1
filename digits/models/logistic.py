"""Logistic regression, which three methods fit with different decision rules.

The objective is C · Σ log-loss + ½‖coef‖², on standardised pixels.
"""

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from digits.config.blocks import Solver, TrainBlock
from digits.models.base import TrainingSet
from digits.models.decision import Probabilistic, Sigmoid, Softmax
from digits.models.linear import LinearModel
from digits.models.training_log import TrainingLog

if TYPE_CHECKING:
    from digits.solvers.logistic import Callback


class LogisticBlock(TrainBlock):
    """L2-regularised logistic regression: C · Σ log-loss + ½‖w‖²."""

    # Below, all coefficients are 0 to many digits; above, the penalty has no effect.
    C: Annotated[float, Field(ge=1e-8, le=1e6)] = Field(
        description="Inverse strength of the penalty."
    )
    max_iter: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="Maximum number of iterations."
    )
    # float64 can prove about 1e-26: the bound is the square of a gradient's rounding
    tol: Annotated[float, Field(ge=1e-24, lt=1)] = Field(
        description="fast: stop when the objective is proven to be within this relative "
        "distance of the optimum. scikit_learn: scikit-learn's own tol."
    )
    solver: Solver = Field(default="fast", description="Both find the same model.")


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
        training_log: Log for the objective, or the final log-loss.
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
        logistic.callback = _progress(options.tol, training_log)
    logistic.fit(data.images, data.y)
    coef, intercept = logistic.coef_, logistic.intercept_
    if len(coef) == 1 and decision != Sigmoid():
        coef, intercept = np.vstack([-coef, coef]), np.hstack([-intercept, intercept])
        if is_half:
            coef, intercept = coef / 2, intercept / 2
    model = LinearModel(
        mean=logistic.mean_,
        scale=logistic.scale_,
        coef=coef,
        intercept=intercept,
        classes=data.classes,
        decision=decision,
    )
    if options.solver != "fast":  # scikit-learn's solver has no callback
        log_p = decision.log_probabilities(model.scores(data.images))
        log_p = log_p[np.arange(len(data.y)), data.y]
        training_log.record(int(logistic.n_iter_), "log-loss", -log_p.mean())
    return model


def _progress(tol: float, training_log: TrainingLog) -> "Callback":
    """Return a callback that records each iteration and shows the progress."""
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    bar = tqdm(
        total=-math.log10(tol),
        disable=None,
        leave=False,
        bar_format="{bar} {desc} after {elapsed}",
    )

    def update(iteration: int, objective: np.ndarray, gap: float) -> None:
        training_log.record(iteration, "objective", float(objective.sum()))
        if 0 < gap < math.inf:
            log_gap = round(math.log10(gap), 1)
            training_log.record(iteration, "log10 of the gap", log_gap)
        bar.n = min(max(0.0, -math.log10(gap or tol)), bar.total)
        proven = f"at most {gap:.0e} too high" if gap < 1 else f"iteration {iteration}"
        bar.set_description_str(f"objective {objective.sum():,.2f}, {proven}")
        if gap <= tol:
            bar.close()

    return update
