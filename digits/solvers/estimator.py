"""What scikit-learn expects of an estimator, without importing it: that takes seconds."""

from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np


@dataclass
class Estimator:
    """Parameters by name, so that `sklearn.base.clone` and a grid search accept it.

    What `fit` finds: `coef_`, (n_outputs, n_features), and `intercept_`, (n_outputs,), on
    standardised columns; their `mean_` and `scale_`, (n_features,), a constant column's
    scale being 1.
    """

    coef_: np.ndarray = field(init=False, repr=False, compare=False)
    intercept_: np.ndarray = field(init=False, repr=False, compare=False)
    mean_: np.ndarray = field(init=False, repr=False, compare=False)
    scale_: np.ndarray = field(init=False, repr=False, compare=False)

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 (scikit-learn's signature)
        """Return the parameters that the constructor takes."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name."""
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return the scores, (n_samples,) of one output, else (n_samples, n_outputs)."""
        coef = self.coef_ / self.scale_
        scores = X.reshape(len(X), -1) @ coef.T + (self.intercept_ - coef @ self.mean_)
        return scores[:, 0] if scores.shape[1] == 1 else scores
