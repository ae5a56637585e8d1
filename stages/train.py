"""Fit one variant on its subset's training images; no test image is read.

reads   params.yaml: variants.<variant>.subset and .train;
        data/subsets/<subset>/train/
writes  data/models/<variant>.npz
"""

import logging
import math
from pathlib import Path
from types import ModuleType

import numpy as np
from tqdm import tqdm

from digits import cli, dataset, solvers
from digits.dataset import Split
from digits.models import Decision, LinearModel
from digits.params import LeastSquares, Logistic, Params
from digits.solvers.logistic import Callback

log = logging.getLogger(__name__)

DECISIONS: dict[str, Decision] = {
    "linear_regression": "threshold",
    "logistic_regression": "sigmoid",
    "one_vs_rest_logistic": "one_vs_rest",
    "multinomial_logistic": "softmax",
}


def train(split: Split, options: LeastSquares | Logistic) -> LinearModel:
    """Flatten, standardise, fit the class index."""
    classes, y = np.unique(split.labels, return_inverse=True)
    decision = DECISIONS[options.model]
    if options.model == "linear_regression":
        line = _solvers(options.solver).LinearRegression().fit(split.images, y)
        coef, intercept = line.coef_, line.intercept_
        return LinearModel(line.mean_, line.scale_, coef, intercept, classes, decision)
    # Of two classes the solvers fit one problem, whose coefficients are w. Those of the
    # softmax are -w/2 and w/2, with half the penalty: hence twice the C.
    halves = len(classes) == 2 and decision == "softmax"  # noqa: PLR2004
    logistic = _solvers(options.solver).LogisticRegression(
        C=2 * options.C if halves else options.C,
        multi_class="multinomial" if decision == "softmax" else "one_vs_rest",
        tol=options.tol,
        max_iter=options.max_iter,
    )
    if options.solver == "fast":
        logistic.callback = _progress(options.tol)
    logistic.fit(split.images, y)
    coef, intercept = logistic.coef_, logistic.intercept_
    if len(coef) == 1 and decision != "sigmoid":
        coef, intercept = np.vstack([-coef, coef]), np.hstack([-intercept, intercept])
        if halves:
            coef, intercept = coef / 2, intercept / 2
    return LinearModel(logistic.mean_, logistic.scale_, coef, intercept, classes, decision)


def _solvers(name: str) -> ModuleType:
    if name == "fast":
        return solvers
    from digits.solvers import reference  # noqa: PLC0415 (importing scikit-learn takes seconds)

    return reference


def _progress(tol: float) -> Callback:
    """Return a callback that shows on a terminal how near the optimum is."""
    bar = tqdm(
        total=-math.log10(tol),
        disable=None,
        leave=False,
        bar_format="{bar} {desc} after {elapsed}",
    )

    def show(iteration: int, objective: np.ndarray, gap: float) -> None:
        bar.n = min(max(0.0, -math.log10(gap or tol)), bar.total)
        proven = f"at most {gap:.0e} too high" if gap < 1 else f"iteration {iteration}"
        bar.set_description_str(f"objective {objective.sum():,.2f}, {proven}")
        if gap <= tol:
            bar.close()

    return show


def main(params: Params, variant: str, root: Path) -> None:
    """Load, fit, save."""
    chosen = params.variants[variant]
    split = dataset.load_split(root / "data/subsets" / chosen.subset / "train")
    log.info("fitting %s on %d images", chosen.train.model, len(split.images))
    train(split, chosen.train).save(root / "data/models" / f"{variant}.npz")


if __name__ == "__main__":
    cli.run(main, __doc__, of="variant")
