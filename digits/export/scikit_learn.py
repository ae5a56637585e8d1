"""Linear models as classifiers of scikit-learn, which alone can load them.

A classifier takes rows of grey values. Its coefficients are the weights of a grey value,
`LinearModel.weights`, so its sums are exact, and the standardisation is part of them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from digits import grid
from digits.export.fitted import Fitted
from digits.models.decision import OneVsRest, Probabilistic, Softmax
from digits.models.linear import BRIGHTEST, LinearModel


def save(fitted: Fitted, path: Path) -> None:
    """Write the classifier; its metadata is its attribute `digits_`."""
    import joblib  # noqa: PLC0415 (slow to import)

    classifier = build(fitted)
    classifier.digits_ = fitted.metadata
    joblib.dump(classifier, path)


def refused(fitted: Fitted) -> str | None:
    """Return why the model has no such form, None if it has."""
    if not isinstance(fitted.model, LinearModel):
        return "only linear models are classifiers of scikit-learn"
    if fitted.model.preprocess != "none":
        return f"scikit-learn has no step for the preprocessing {fitted.model.preprocess}"
    return None


def build(fitted: Fitted) -> Any:
    """Return the classifier: it takes (n, n_pixels) grey values and predicts labels."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier  # noqa: PLC0415
    from sklearn.multiclass import OneVsRestClassifier  # noqa: PLC0415 (as above)

    model: Any = fitted.model
    decision, coef, intercept = model.decision, model.weights, model.offset
    n_classes = len(model.classes)
    if decision.uses_thresholds:
        coef, intercept = _between(coef[0], intercept[0], fitted.thresholds)
    if len(coef) == n_classes == 2:  # noqa: PLR2004 (where scikit-learn has one score)
        # of two logits that are s and -s, each has the log-odds against the other
        coef, intercept = (
            array[1:] if decision == OneVsRest() else array[1:] - array[:1]
            for array in (coef, intercept)
        )
    if not isinstance(decision, Probabilistic):
        return _with(RidgeClassifier(), fitted.labels, coef, intercept)
    C = fitted.metadata["parameters"]["train"].get("C", 1.0)
    if len(coef) == 1 or decision == Softmax():
        return _with(LogisticRegression(C=C), fitted.labels, coef, intercept)
    whole = OneVsRestClassifier(LogisticRegression(C=C))
    whole.fit(np.zeros((n_classes, coef.shape[1])), fitted.labels)
    for estimator, *of_class in zip(whole.estimators_, coef, intercept, strict=True):
        estimator.coef_, estimator.intercept_ = map(np.atleast_2d, of_class)
    return whole


def _with(
    classifier: Any, labels: np.ndarray, coef: np.ndarray, intercept: np.ndarray
) -> Any:
    """Return a classifier with these coefficients: the fit sets all its other attributes.

    Args:
        classifier: Not fitted.
        labels: (n_classes,).
        coef: (n_classes, n_pixels), or one row for two classes.
        intercept: As long as `coef`.
    """
    classifier.fit(np.zeros((len(labels), coef.shape[1])), labels)
    classifier.coef_, classifier.intercept_ = coef, intercept
    return classifier


def _between(
    weights: np.ndarray, offset: float, thresholds: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients of scores of which the largest decides as thresholds do.

    Let s be the score and t₁ < t₂ < … the thresholds. The score of class k is
    k s - (t₁ + … + tₖ). That of class k is larger than that of k - 1 if s > tₖ. Two classes
    have one score, s - t₁.

    s is a multiple of a step, so s > t if it is greater than the next multiple below t.
    These are taken as thresholds: then s - t₁ has no rounding error.

    Args:
        weights: (n_pixels,), on a grid.
        offset: On the same grid.
        thresholds: (n_thresholds,) ascending.

    Returns:
        coef: (n_classes, n_pixels), or one row for two classes.
        intercept: As long as `coef`.
    """
    step = grid.exact_step(BRIGHTEST * np.abs(weights).sum() + abs(offset)) / 2
    lower = np.floor(np.array(thresholds) / step) * step
    if len(lower) == 1:
        return weights[None], offset - lower
    k = np.arange(len(lower) + 1.0)
    return k[:, None] * weights, k * offset - np.append(0, np.cumsum(lower))
