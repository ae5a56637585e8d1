"""Models that are linear in features of the pixels.

    scores = features(pixels) · coefᵀ + intercept

`coef` and `intercept` minimise the mean squared error against one-hot labels plus
ridge · ‖coef‖². The class with the largest score is predicted.

A fitted model and its scores have the same bytes on every processor. Features are multiples
of 2⁻¹⁸ and at most 1 for training images, so their products of two, and sums of these over
2¹⁷ images, are exact. The solution is refined to the limit of float64 and rounded to a
grid (see `solve`). A score is a sum of multiples of a power of two.
"""

import logging
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.linalg import norm

from digits import grid, memory
from digits.errors import InputError
from digits.models.base import Model, TrainingSet
from digits.models.training_log import TrainingLog
from digits.parallel import BLOCK_ROWS, available_threads, map_row_blocks, sum_tuples
from digits.solvers.canonical import refine

log = logging.getLogger(__name__)

EPS = float(np.finfo(float).eps)
STEP = 2.0**-18  # of features
EXACT_ROWS = 2**17  # products of two features sum exactly, in any order, over so many rows
TOLERANCE = 1e-10  # part of the objective by which rounding may move it


@dataclass(frozen=True, kw_only=True)
class FeatureModel(Model):
    """A fitted model, linear in its features.

    Attributes:
        coef: (n_classes, n_features) float64.
        intercept: (n_classes,) float64.
    """

    coef: np.ndarray
    intercept: np.ndarray

    @abstractmethod
    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the features.

        Args:
            X: (n_samples, n_pixels) uint8.

        Returns:
            (n_samples, n_features) float64, multiples of STEP.
        """

    def largest(self) -> float | np.ndarray:
        """Return the largest size of a feature of any image, or (n_features,) of each."""
        return 1.0

    def _scores(self, X: np.ndarray) -> np.ndarray:
        bound = (np.abs(self.coef) * self.largest()).sum(axis=1).max()
        # coef in two parts, if it has more bits than can be summed exactly
        high = grid.round_to(self.coef, grid.exact_step(bound) / STEP)
        low = self.coef - high

        def score(rows: slice) -> np.ndarray:
            F = self.features(X[rows])
            scores = F @ high.T
            if low.any():
                scores += F @ low.T
            return scores + self.intercept

        return np.concatenate(map_row_blocks(score, len(X)))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_classes = len(self.classes)
        return {"coef": (n_classes, self.coef.shape[-1]), "intercept": (n_classes,)}


def require_memory(n_features: int, data: TrainingSet, requested: str) -> None:
    """Check that this number of features of the training images fits into memory.

    Args:
        n_features: Number of features of an image.
        data: The training images.
        requested: The parameter that sets the number of features, and its value.

    Raises:
        InputError: It does not.
    """
    n_samples, n_pixels = data.pixels.shape
    # `solve` has a Gram matrix in each thread, and four others
    n_grams = min(available_threads(), -(-n_samples // BLOCK_ROWS)) + 4
    n_bytes = 8 * n_features * (n_features * n_grams + n_pixels)
    memory.require(f"{requested} features of {n_samples} images", n_bytes)


def exact_sums(
    features: Callable[[np.ndarray], np.ndarray], X: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums over images: of features' products of two, of features, with targets.

    Args:
        features: Function from pixels to features, as `FeatureModel.features`.
        X: (n_samples, n_pixels) uint8, at most EXACT_ROWS.
        targets: (n_samples, n_classes), 0 or 1.

    Returns:
        (n_features, n_features), (n_features,) and, of the products of features and
        targets, (n_features, n_classes); float64.
    """
    n_features, n_classes = features(X[:1]).shape[1], targets.shape[1]
    sums = (
        np.zeros((n_features, n_features)),
        np.zeros(n_features),
        np.zeros((n_features, n_classes)),
    )
    lock = Lock()

    def add(rows: slice) -> None:
        F = features(X[rows])
        products = F.T @ F, F.sum(axis=0), F.T @ targets[rows]
        with lock:  # in any order
            for total, part in zip(sums, products, strict=True):
                np.add(total, part, out=total)

    map_row_blocks(add, len(X))
    return sums


def solve(
    features: Callable[[np.ndarray], np.ndarray],
    data: TrainingSet,
    ridge: float,
    training_log: TrainingLog,
    *,
    requested: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the coefficients by ridge regression on one-hot labels.

    With G the covariance of the features plus ridge · I, the coefficients solve
    G coef = products. G has the same bits everywhere: sums are exact, and the rest is done
    element by element. Iterative refinement with exact residuals (`grid.residual`) brings
    the solution to within about half a unit in the last place of the largest coefficient,
    if the condition number of G is well below 2⁵².

    Rounding by E moves the objective by the sum of G_ij E_ic E_jc over features i, j and
    classes c. Errors of rounding to multiples of `step` are as good as independent, of
    variance step² / 12, so this is step² / 12 · trace(G) · n_classes on average. The step
    is such that it is at most a third of TOLERANCE of the objective.

    Two processors' solutions, wrong by at most `error`, are rounded to the same multiples
    unless a coefficient is within 2 · error of a boundary between two: for a number of
    coefficients, the probability is their number times 4 · error / step. This is about
    1e-5 on MNIST. Where it happens, a warning is logged.

    Args:
        features: Function from pixels to features, as `FeatureModel.features`; multiples
            of STEP from -1 to 1.
        data: The training images.
        ridge: Weight of the penalty, at least 0.
        training_log: Log for the mean squared error.
        requested: The parameter that sets the number of features, and its value.

    Returns:
        coef: (n_classes, n_features) float64.
        intercept: (n_classes,) float64.

    Raises:
        InputError: The features depend on each other, so that the solution would consist
            of rounding errors: there are too many for the images, or all are alike.
    """
    X, y, n_samples, n_classes = data.pixels, data.y, len(data.y), len(data.classes)
    targets = np.eye(n_classes)[y]
    gram, total, products = sum_tuples(
        exact_sums(features, X[i : i + EXACT_ROWS], targets[i : i + EXACT_ROWS])
        for i in range(0, n_samples, EXACT_ROWS)
    )
    gram /= n_samples
    mean, shares = total / n_samples, np.bincount(y) / n_samples
    size = norm(gram, 1)
    gram -= np.outer(mean, mean)
    gram[np.diag_indices_from(gram)] += ridge
    products = products / n_samples - np.outer(mean, shares)
    # the last bits of `gram` are rounded; so much may the solution change, relative to it
    try:
        inverse = np.linalg.inv(gram)
        change = size * norm(inverse, 1) * EPS
    except np.linalg.LinAlgError:
        change = np.float64(np.inf)
    if not change < 1:
        raise InputError(
            f"{requested} gives features that depend on each other on these {n_samples} "
            f"images (ridge {ridge:g}); use fewer or other features, or a larger ridge"
        )
    coef, error = refine(inverse.__matmul__, gram, products)
    objective = (shares * (1 - shares)).sum() - (coef * products).sum()
    mse = objective - ridge * (coef**2).sum()
    training_log.record(1, "mean squared error", mse)
    step = grid.power_of_two(
        math.sqrt(4 * TOLERANCE * max(objective, EPS) / (n_classes * (gram.trace() + 1)))
    )
    if not grid.is_settled(coef, step, 2 * error):
        log.warning(
            "the coefficients are accurate to %.1e, which is not enough to round them to "
            "multiples of %.1e: another processor may give other hashes; a larger ridge "
            "or fewer features can change that",
            error,
            step,
        )
    coef = grid.round_to(coef, step)
    # the best intercept, of which only the sum is rounded
    intercept = grid.residual(mean[None], coef, shares[None])[0]
    return coef.T.copy(), grid.round_to(intercept, step)
