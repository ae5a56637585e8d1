"""How a model is fitted: least squares and L2-regularised logistic regression.

All take standardised pixels X (n_samples, n_features) float64 and the class index
y (n_samples,) in 0..n_classes-1, and return coef (n_outputs, n_features) and
intercept (n_outputs,). The intercept is never penalised. scikit-learn does the
fitting; what is fixed here is which problem is solved, and how exactly.

The logistic models minimise

    C · Σ log-loss + ½‖coef‖²

until no partial derivative of the objective divided by C · n_samples exceeds `tol`.
"""

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

Fit = tuple[np.ndarray, np.ndarray]


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
    model = LogisticRegression(
        C=C, max_iter=max_iter, tol=tol, solver="newton-cholesky"
    ).fit(X, y)
    return model.coef_, model.intercept_


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
    model = LogisticRegression(C=C, max_iter=max_iter, tol=tol, solver="lbfgs").fit(X, y)
    return model.coef_, model.intercept_
