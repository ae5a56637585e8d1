"""scikit-learn's own solvers, under the same names and with the same attributes.

They are what the faster ones are held against, and can be chosen in params.yaml.
`tol` is scikit-learn's: the largest partial derivative of the mean objective.
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
    """scikit-learn's `LinearRegression` on standardised columns."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit y, (n_samples,), to the columns of X, (n_samples, ...)."""
        X = _standardise(self, X)
        model = linear_model.LinearRegression().fit(X, y)
        self.mse_ = float(np.mean((model.predict(X) - y) ** 2))
        self.coef_, self.intercept_ = model.coef_[None], np.array([model.intercept_])
        return self


@dataclass
class LogisticRegression(Estimator):
    """scikit-learn's `LogisticRegression` on standardised columns.

    Binary problems go to its Newton solver, which needs a dozen steps on MNIST where
    L-BFGS needs a thousand; for many classes its Hessian would be too large.
    """

    C: float = 1.0
    multi_class: Literal["one_vs_rest", "multinomial"] = "multinomial"
    tol: float = 1e-8
    max_iter: int = 1000

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit y, (n_samples,), to the columns of X, (n_samples, ...)."""
        self.classes_ = np.unique(y)
        X = _standardise(self, X)
        if len(self.classes_) == 2:  # noqa: PLR2004
            models = [self._fit(X, y == self.classes_[1], "newton-cholesky")]
        elif self.multi_class == "multinomial":
            models = [self._fit(X, y, "lbfgs")]
        else:
            models = [
                self._fit(X, y == label, "newton-cholesky") for label in self.classes_
            ]
        self.coef_ = np.vstack([model.coef_ for model in models])
        self.intercept_ = np.hstack([model.intercept_ for model in models])
        self.n_iter_ = max(model.n_iter_.max() for model in models)
        if self.n_iter_ >= self.max_iter:
            log.warning(
                "not at the optimum after %d iterations; raise max_iter", self.n_iter_
            )
        elif self.n_iter_ >= NEWTON_STEPS:
            log.warning("float64 gets no nearer to the optimum: set a larger tol")
        return self

    def _fit(
        self, X: np.ndarray, y: np.ndarray, solver: str
    ) -> linear_model.LogisticRegression:
        # Newton's method is at the optimum after some dozens of steps, and scikit-learn's
        # goes on without an end if `tol` is below the rounding of the gradient.
        most = NEWTON_STEPS if solver == "newton-cholesky" else self.max_iter
        model = linear_model.LogisticRegression(
            C=self.C, max_iter=min(most, self.max_iter), tol=self.tol, solver=solver
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said in a line above
            return model.fit(X, y)
