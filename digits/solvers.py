"""How a model is fitted: least squares and L2-regularised logistic regression.

All take standardised pixels X (n_samples, n_features) float64 and the class index
y (n_samples,) in 0..n_classes-1, and return coef (n_outputs, n_features) and
intercept (n_outputs,). The intercept is never penalised. scikit-learn does the
fitting; what is fixed here is which problem is solved, and how exactly.

The logistic models minimise

    C · Σ log-loss + ½‖coef‖²

until no partial derivative of the objective divided by C · n_samples exceeds `tol`, or
until `max_iter` iterations, with a warning.
"""

import logging
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression

log = logging.getLogger(__name__)

Fit = tuple[np.ndarray, np.ndarray]


def _logistic(
    X: np.ndarray, y: np.ndarray, solver: str, *, C: float, max_iter: int, tol: float
) -> Fit:
    model = LogisticRegression(C=C, max_iter=max_iter, tol=tol, solver=solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said in a line, next
        model.fit(X, y)
    if model.n_iter_.max() >= max_iter:
        log.warning("not at the optimum after max_iter = %d iterations; raise it", max_iter)
    return model.coef_, model.intercept_


def least_squares(X: np.ndarray, y: np.ndarray) -> Fit:
    """Fit the class index by ordinary least squares; of many solutions the smallest."""
    model = LinearRegression().fit(X, y)
    return model.coef_[None], np.array([model.intercept_])


def binary_logistic(
    X: np.ndarray, y: np.ndarray, *, C: float, max_iter: int, tol: float
) -> Fit:
    """Fit the log-odds of class 1 against class 0.

    Newton's method: on the 60,000 images of MNIST it needs a dozen steps to where
    L-BFGS needs about a thousand.
    """
    return _logistic(X, y, "newton-cholesky", C=C, max_iter=max_iter, tol=tol)


def one_vs_rest_logistic(
    X: np.ndarray, y: np.ndarray, *, C: float, max_iter: int, tol: float
) -> Fit:
    """Fit, for each class, its log-odds against all others."""
    fits = [
        binary_logistic(X, y == index, C=C, max_iter=max_iter, tol=tol)
        for index in range(y.max() + 1)
    ]
    return (
        np.vstack([coef for coef, _ in fits]),
        np.hstack([intercept for _, intercept in fits]),
    )


def multinomial_logistic(
    X: np.ndarray, y: np.ndarray, *, C: float, max_iter: int, tol: float
) -> Fit:
    """Fit one softmax model over all classes.

    Newton's method would need a Hessian of (n_classes · n_features)² numbers, so
    this is L-BFGS.
    """
    if y.max() == 1:
        # scikit-learn fits one coefficient vector w here. The softmax's two are
        # -w/2 and w/2, whose penalty is half of w's: hence twice the C.
        coef, intercept = binary_logistic(X, y, C=2 * C, max_iter=max_iter, tol=tol)
        return np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    return _logistic(X, y, "lbfgs", C=C, max_iter=max_iter, tol=tol)
