"""Models that are linear in the pixels, whose scores are exact.

    scores = (pixels - mean) / scale · coefᵀ + intercept
           = pixels · weightsᵀ + offset

`weights` and `offset` are multiples of a power of two, so the second sum has no rounding
error: a score is the same for each BLAS, number of threads and processor, for one image or
many, and in a browser. Several methods fit such a model; `digits.solvers` finds `coef` and
`intercept`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from digits.grid import exact_step, round_to
from digits.models.base import Model
from digits.models.decision import Decision
from digits.solvers.estimator import Estimator

BRIGHTEST = 255  # grey value
BLOCK_ROWS = 100  # images that are converted at once, so that they stay in the cache


@dataclass(frozen=True, kw_only=True)
class LinearModel(Model):
    """A fitted model, linear in the standardised pixels.

    Attributes:
        mean: (n_pixels,) float64, of the training images, in grey values.
        scale: (n_pixels,) float64, their standard deviation, positive.
        coef: (n_outputs, n_pixels) float64.
        intercept: (n_outputs,) float64.
        gap: A bound on (f - f*) / f*, where f is the objective at `coef` and f* its
            minimum; infinite if none is known.
        is_canonical: Whether the fit was accurate enough for `coef` and `intercept` to be
            the same on every processor.
    """

    model_type: ClassVar[str] = "linear"
    pixel_array: ClassVar[str] = "mean"
    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    gap: float = math.inf
    is_canonical: bool = False

    @property
    def weights(self) -> np.ndarray:
        """The weight of a grey value, (n_outputs, n_pixels), on a grid for each output."""
        return on_grids(self.mean, self.scale, self.coef, self.intercept)[0]

    @property
    def offset(self) -> np.ndarray:
        """The score of an image that is black, (n_outputs,), on the same grids."""
        return on_grids(self.mean, self.scale, self.coef, self.intercept)[1]

    def _scores(self, X: np.ndarray) -> np.ndarray:
        return affine(X, *on_grids(self.mean, self.scale, self.coef, self.intercept))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_outputs, n_pixels = self.n_outputs, self.mean.size
        return {
            "mean": (n_pixels,),
            "scale": (n_pixels,),
            "coef": (n_outputs, n_pixels),
            "intercept": (n_outputs,),
        }

    def problem(self) -> str | None:
        """Return what is wrong with the arrays, None if nothing is."""
        problem = super().problem()
        if problem is None and (self.scale <= 0).any():
            problem = "scale has values that are not positive"
        if problem is None and not self.gap >= 0:
            problem = f"gap is {self.gap}, expected at least 0"
        return problem


MODEL = LinearModel


def from_estimator(
    estimator: Estimator, classes: np.ndarray, decision: Decision
) -> LinearModel:
    """Return the model that a solver has fitted.

    Its gap is rounded up to a power of ten, because its last bits depend on the processor.

    Args:
        estimator: A fitted solver.
        classes: (n_classes,) uint8, the label of each class, ascending.
        decision: The rule by which scores become a class.
    """
    gap = estimator.gap_
    return LinearModel(
        mean=estimator.mean_,
        scale=estimator.scale_,
        coef=estimator.coef_,
        intercept=estimator.intercept_,
        classes=classes,
        decision=decision,
        gap=10.0 ** math.ceil(math.log10(gap)) if 0 < gap < math.inf else gap,
        is_canonical=estimator.is_canonical_,
    )


def on_grids(
    mean: np.ndarray, scale: np.ndarray, coef: np.ndarray, intercept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of grey values with which scores are exact.

    weights = coef / scale and offset = intercept - Σ weights · mean, rounded for each
    output to multiples of the smallest step with which no sum over the pixels, of grey
    values up to 255, exceeds what float64 holds exactly. Each is at most half a step from
    the value before rounding, and the step is at most 2⁻⁵¹ · (255 Σ|weights| + |offset|).
    Nothing depends on the processor: each operation but the sums is one of IEEE 754, and
    `math.fsum` rounds the exact sum.

    Args:
        mean: (n_pixels,) or (n_outputs, n_pixels), in grey values.
        scale: Of the same shape, positive.
        coef: (n_outputs, n_pixels), of standardised pixels.
        intercept: (n_outputs,).

    Returns:
        weights: (n_outputs, n_pixels).
        offset: (n_outputs,); nan where float64 cannot hold the scores.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        weights = coef / scale
        offset = _row_sums(np.column_stack([intercept, -weights * mean]))
        sizes = _row_sums(np.column_stack([np.abs(offset), BRIGHTEST * np.abs(weights)]))
        step = np.array([exact_step(size) for size in sizes])
        return round_to(weights, step[:, None]), round_to(offset, step)


def _row_sums(values: np.ndarray) -> np.ndarray:
    """Return the sum of each row, rounded once; nan where float64 cannot hold it."""

    def total(row: list[float]) -> float:
        try:
            return math.fsum(row)
        except (OverflowError, ValueError):
            return math.nan

    return np.array([total(row) for row in values.tolist()])


def affine(X: np.ndarray, weights: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return X · weightsᵀ + offset, exact if these are `on_grids`.

    Args:
        X: (n_samples, n_pixels) uint8.
        weights: (n_outputs, n_pixels) float64.
        offset: (n_outputs,) float64.

    Returns:
        (n_samples, n_outputs) float64.
    """
    scores = np.empty((len(X), len(weights)))
    with threadpool_limits(1, "blas"):  # more threads only slow down such small products
        for start in range(0, len(X), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            scores[rows] = X[rows].astype(np.float64) @ weights.T
    return scores + offset
