"""scikit-learn's solvers, with the names and attributes of ours.

The tests compare ours with them, and params.yaml can choose them. `tol` is
scikit-learn's: the largest partial derivative of the mean objective.
"""

import logging
import warnings
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from digits.solvers.estimator import Estimator

log = logging.getLogger(__name__)

NEWTON_STEPS = 1000


def _standardise(estimator: Estimator, X: np.ndarray) -> np.ndarray:
    scaler = StandardScaler().fit(X.reshape(len(X), -1).astype(np.float64))
    estimator.mean_, estimator.scale_ = scaler.mean_, scaler.scale_
    return scaler.transform(X.reshape(len(X), -1).astype(np.float64))


@dataclass
class LinearRegression(Estimator):
    """scikit-learn's `LinearRegression` on standardised columns.

    Attributes:
        mse_: After `fit`, the mean squared error on the training data.
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the coefficients to the columns of X, which are standardised here.

        Args:
            X: (n_samples, ...).
            y: (n_samples,).
        """
        X = _standardise(self, X)
        model = linear_model.LinearRegression().fit(X, y)
        self.mse_ = float(np.mean((model.predict(X) - y) ** 2))
        self.coef_, self.intercept_ = model.coef_[None], np.array([model.intercept_])
        return self


@dataclass
class LogisticRegression(Estimator):
    """scikit-learn's `LogisticRegression` on standardised columns.

    Its Newton solver fits binary problems: it needs a dozen steps on MNIST where L-BFGS
    needs a thousand. For the multinomial problem its Hessian would be too large, so
    L-BFGS is used there.

    Attributes:
        C: Inverse strength of the penalty, > 0.
        multi_class: "one_vs_rest" or "multinomial"; two classes are one problem either
            way.
        tol: Stop when no partial derivative of the mean objective is larger.
        max_iter: Most iterations; a warning is logged if they do not suffice.
        classes_: After `fit`, the labels in ascending order.
        n_iter_: After `fit`, the number of iterations, the largest of all problems.
    """

    C: float = 1.0
    multi_class: Literal["one_vs_rest", "multinomial"] = "multinomial"
    tol: float = 1e-8
    max_iter: int = 1000

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the coefficients to the columns of X, which are standardised here.

        Args:
            X: (n_samples, ...).
            y: (n_samples,), labels.
        """
        self.classes_ = np.unique(y)
        X = _standardise(self, X)
        if len(self.classes_) == 2:  # noqa: PLR2004
            fits = [self._fit(X, y == self.classes_[1], "newton-cholesky")]
        elif self.multi_class == "multinomial":
            fits = [self._fit(X, y, "lbfgs")]
        else:
            fits = [self._fit(X, y == label, "newton-cholesky") for label in self.classes_]
        models, converged = zip(*fits, strict=True)
        self.coef_ = np.vstack([model.coef_ for model in models])
        self.intercept_ = np.hstack([model.intercept_ for model in models])
        self.n_iter_ = max(model.n_iter_.max() for model in models)
        if self.n_iter_ >= self.max_iter:
            log.warning(
                "not at the optimum after %d iterations; raise max_iter", self.n_iter_
            )
        elif not all(converged):
            log.warning("float64 gets no nearer to the optimum: set a larger tol")
        return self

    def _fit(
        self, X: np.ndarray, y: np.ndarray, solver: str
    ) -> tuple[linear_model.LogisticRegression, bool]:
        """Return a fitted model, and whether it has converged."""
        # Newton's method reaches the optimum in dozens of steps, but scikit-learn's never
        # ends if `tol` is below the rounding of the gradient.
        most = NEWTON_STEPS if solver == "newton-cholesky" else self.max_iter
        model = linear_model.LogisticRegression(
            C=self.C, max_iter=min(most, self.max_iter), tol=self.tol, solver=solver
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(X, y)
        others = [w for w in caught if not issubclass(w.category, ConvergenceWarning)]
        for warning in others:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        return model, len(others) == len(caught)  # `fit` logs it
