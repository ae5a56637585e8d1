"""scikit-learn's estimator interface, without its import, which takes seconds."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np


@dataclass
class Estimator:
    """Base class whose parameters `sklearn.base.clone` and a grid search can set.

    Attributes:
        coef_: After `fit`, the coefficients of standardised columns, (n_outputs,
            n_features).
        intercept_: After `fit`, (n_outputs,).
        mean_: After `fit`, the mean of each column, (n_features,).
        scale_: After `fit`, the standard deviation of each column, (n_features,); 1 for a
            constant column.
        gap_: After `fit`, a bound on (f - f*) / f* of the objective f, infinite if none is
            known.
        is_canonical_: After `fit`, whether each processor gives the same coefficients;
            never of floats, whose means differ.
    """

    coef_: np.ndarray = field(init=False, repr=False, compare=False)
    intercept_: np.ndarray = field(init=False, repr=False, compare=False)
    mean_: np.ndarray = field(init=False, repr=False, compare=False)
    scale_: np.ndarray = field(init=False, repr=False, compare=False)
    gap_: float = field(default=math.inf, init=False, repr=False, compare=False)
    is_canonical_: bool = field(default=False, init=False, repr=False, compare=False)

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 (scikit-learn's signature)
        """Return the parameters that the constructor takes."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name."""
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return the scores.

        Args:
            X: (n_samples, ...), flattened to (n_samples, n_features).

        Returns:
            (n_samples,) if there is one output, else (n_samples, n_outputs).
        """
        coef = self.coef_ / self.scale_
        scores = X.reshape(len(X), -1) @ coef.T + (self.intercept_ - coef @ self.mean_)
        return scores[:, 0] if scores.shape[1] == 1 else scores
