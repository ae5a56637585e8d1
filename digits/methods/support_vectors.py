"""Support vector machines with a Gaussian kernel, one for each pair of classes.

    kernel(x, y) = exp(-gamma ‖x - y‖²), of pixels from 0 to 1

A working set is grown for each pair. libsvm, from scikit-learn, solves the problem on the
working set; then all images but the support vectors leave it, and those that violate the
margin most enter it. When no image violates the margin by more than the tolerance, the
solution is that of all images; their full kernel matrix was never computed.
"""

import warnings
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models.base import Model, TrainingSet
from digits.models.distances import squared_distances
from digits.models.pairs import pairs, select, votes
from digits.models.training_log import TrainingLog
from digits.parallel import map_in_threads, map_row_blocks

TOLERANCE = 1e-3  # libsvm's
ADDED = 1500  # most images that enter the working set at a time
MAX_ROUNDS = 200  # with a large C, rounding can keep the working set from settling
MAX_STEPS = 10_000_000  # of libsvm in a round, which has no limit by default
BLOCK_ROWS = 500  # images that are scored at a time


class Options(TrainBlock):
    """Support vector machines of each two classes, with a Gaussian kernel."""

    summary = "A Gaussian SVM for each pair of classes; a majority vote decides"

    model: Literal["support_vectors"]
    # Coefficients are at most C, and the kernel is accurate to seven digits.
    C: Annotated[float, Field(ge=1e-6, le=1e6)] = Field(
        description="Inverse strength of the penalty."
    )
    # below, the kernel of any images is 1 to seven digits; above, that of different ones 0
    gamma: Annotated[float, Field(ge=1e-6, le=100)] = Field(
        description="The kernel is exp(-gamma ‖x - y‖²), of pixels from 0 to 1."
    )


@dataclass(frozen=True, kw_only=True)
class PairwiseSVM(Model):
    """A fitted support vector machine for each pair of classes.

    Attributes:
        gamma: Parameter of the kernel of pixels from 0 to 1.
        vectors: (n_vectors, n_pixels) uint8, the support vectors of all pairs.
        coef: (n_pairs, n_vectors) float64, 0 unless a vector supports the pair.
        intercept: (n_pairs,) float64.
    """

    model_type: ClassVar[str] = "support_vectors"
    pixel_array: ClassVar[str] = "vectors"
    gamma: float
    vectors: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    def _scores(self, X: np.ndarray) -> np.ndarray:
        def score(rows: slice) -> np.ndarray:
            K = kernel(X[rows], self.vectors, self.gamma)
            return votes(K @ self.coef.T + self.intercept, len(self.classes))

        return np.concatenate(map_row_blocks(score, len(X), BLOCK_ROWS))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_pairs = len(pairs(len(self.classes)))
        n_vectors = len(self.vectors)
        return {
            "vectors": (n_vectors, self.vectors.shape[-1]),
            "coef": (n_pairs, n_vectors),
            "intercept": (n_pairs,),
        }


MODEL = PairwiseSVM


def kernel(X: np.ndarray, Y: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma ‖x - y‖² / 255²).

    Args:
        X: (n, n_pixels) uint8.
        Y: (m, n_pixels) uint8.
        gamma: Parameter of the kernel, positive.

    Returns:
        (n, m) float32.
    """
    X, Y = X.astype(np.float32) / 255, Y.astype(np.float32) / 255
    K = squared_distances(X, Y)
    K *= -gamma
    return np.exp(K, out=K)


def fit_pair(
    X: np.ndarray, signs: np.ndarray, C: float, gamma: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit the support vector machine of a pair of classes.

    Args:
        X: (n_samples, n_pixels) uint8.
        signs: (n_samples,) +1 for the first class, -1 for the second.
        C: Inverse strength of the penalty.
        gamma: Parameter of the kernel.

    Returns:
        vectors: (n_vectors,) the rows of X that are support vectors.
        coef: (n_vectors,) float64.
        intercept: A number.

    Raises:
        InputError: No solution is found.
    """
    from sklearn.svm import SVC  # noqa: PLC0415 (importing scikit-learn takes seconds)

    # Evenly spread over each class; the first working set only determines the time.
    working_set = np.concatenate(
        [
            rows[:: -(-2 * len(rows) // ADDED)]
            for rows in map(np.flatnonzero, (signs > 0, signs < 0))
        ]
    )
    for _ in range(MAX_ROUNDS):
        K = kernel(X[working_set], X[working_set], gamma)
        svc = SVC(
            C=C, kernel="precomputed", tol=TOLERANCE, cache_size=500, max_iter=MAX_STEPS
        )
        svc.fit(K, signs[working_set])
        if svc.fit_status_:  # not solved
            break
        vectors = working_set[svc.support_]
        coef, intercept = svc.dual_coef_[0], svc.intercept_[0]
        scores = kernel(X, X[vectors], gamma) @ coef + intercept
        violation = 1 - TOLERANCE - signs * scores
        violation[working_set] = 0
        violating = np.flatnonzero(violation > 0)
        if len(violating) == 0:
            return vectors, coef, intercept
        worst = violating[np.argsort(-violation[violating], kind="stable")[:ADDED]]
        working_set = np.sort(np.concatenate([vectors, worst]))
    raise InputError(
        f"train.C: with {C:g}, and a gamma of {gamma:g}, no solution is found on these "
        f"{len(X)} images of two classes; set a lower one"
    )


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> PairwiseSVM:
    """Fit +1 for the first class of each pair and -1 for the second."""
    X = data.pixels

    def solve(pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, float]:
        rows, signs = select(data.y, pair)
        vectors, coef, intercept = fit_pair(X[rows], signs, options.C, options.gamma)
        return rows[vectors], coef, intercept

    with warnings.catch_warnings(action="ignore"):  # `fit_pair` raises an error instead
        machines = map_in_threads(solve, pairs(len(data.classes)))
    used = np.unique(np.concatenate([rows for rows, _, _ in machines]))
    coef = np.zeros((len(machines), len(used)))
    for step, (row, (rows, values, _)) in enumerate(zip(coef, machines, strict=True), 1):
        row[np.searchsorted(used, rows)] = values
        training_log.record(step, "support vectors", len(rows))
    return PairwiseSVM(
        classes=data.classes,
        gamma=options.gamma,
        vectors=X[used],
        coef=coef,
        intercept=np.array([intercept for _, _, intercept in machines]),
    )
