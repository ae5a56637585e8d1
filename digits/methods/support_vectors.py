"""Support vector machines with a Gaussian kernel, one for each pair of classes.

    kernel(x, y) = exp(-gamma ‖x - y‖²), of pixels from 0 to 1

A working set is grown for each pair. libsvm, from scikit-learn, solves the problem on the
working set; then all images but the support vectors leave it, and those that violate the
margin most enter it. When no image violates the margin by more than the tolerance, the
solution is nearly that of all images; their full kernel matrix was never computed.

The optimum itself is then computed from its conditions, to the limit of float64, and
rounded to a grid. It does not depend on the path to it, and so not on libsvm, which takes
another one where a compiler fuses multiplications with additions, as on ARM.
"""

import logging
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from pydantic import Field

from digits import grid
from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models.base import Model, TrainingSet
from digits.models.distances import STEP, Centred, centred, gaussian_kernel
from digits.models.pairs import pairs, select, votes
from digits.models.training_log import TrainingLog
from digits.parallel import map_in_threads, map_row_blocks
from digits.solvers.canonical import refine

log = logging.getLogger(__name__)

TOLERANCE = 1e-3  # libsvm's
SLACK = 1e-10  # of margins, for rounding errors
MAX_EXCHANGES = 50  # of support vectors, from libsvm's to those of the optimum
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
        vectors = centred(self.vectors)

        def score(rows: slice) -> np.ndarray:
            K = kernel(centred(X[rows]), vectors, self.gamma)
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


def kernel(
    X: Centred, Y: Centred, gamma: float, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """Return (n, m) exp(-gamma ‖x - y‖² / 255²), rounded as in `gaussian_kernel`."""
    return gaussian_kernel(X, Y, gamma / 255**2, dtype)


def score(columns: np.ndarray, coef: np.ndarray, intercept: float) -> np.ndarray:
    """Return (n,) float64 of (n, n_vectors) float32, converted a block at a time."""
    blocks = range(0, len(columns), BLOCK_ROWS)
    return np.concatenate([columns[i : i + BLOCK_ROWS] @ coef for i in blocks]) + intercept


class Machine(NamedTuple):
    """The support vector machine of a pair of classes.

    Attributes:
        vectors: (n_vectors,) the rows of the images that are support vectors.
        coef: (n_vectors,) float64.
        intercept: A number.
        settled: Whether it is surely the same on every processor.
    """

    vectors: np.ndarray
    coef: np.ndarray
    intercept: float
    settled: bool


def fit_pair(X: np.ndarray, signs: np.ndarray, C: float, gamma: float) -> Machine:
    """Fit the support vector machine of a pair of classes.

    Args:
        X: (n_samples, n_pixels) uint8.
        signs: (n_samples,) +1 for the first class, -1 for the second.
        C: Inverse strength of the penalty.
        gamma: Parameter of the kernel.

    Raises:
        InputError: No solution is found.
    """
    from sklearn.svm import SVC  # noqa: PLC0415 (importing scikit-learn takes seconds)

    # Evenly spread over each class; the first working set only determines the time.
    added = np.concatenate(
        [
            rows[:: -(-2 * len(rows) // ADDED)]
            for rows in map(np.flatnonzero, (signs > 0, signs < 0))
        ]
    )
    everything, vectors = centred(X), added[:0]
    columns = np.empty((len(X), 0), np.float32)  # kernel of all images and `vectors`
    for _ in range(MAX_ROUNDS):
        working_set = np.concatenate([vectors, added])
        among_added = centred(X[added])
        K = np.block(
            [
                [columns[vectors], columns[added].T],
                [columns[added], kernel(among_added, among_added, gamma)],
            ]
        )
        svc = SVC(
            C=C, kernel="precomputed", tol=TOLERANCE, cache_size=500, max_iter=MAX_STEPS
        )
        svc.fit(K, signs[working_set])
        if svc.fit_status_:  # not solved
            break
        order = np.argsort(svc.support_)  # those that were support vectors come first
        coef, intercept = svc.dual_coef_[0][order], svc.intercept_[0]
        support = svc.support_[order]
        new = working_set[support[support >= len(vectors)]]
        columns = np.hstack(
            [
                columns[:, support[support < len(vectors)]],
                kernel(everything, centred(X[new]), gamma, np.float32),
            ]
        )
        vectors = working_set[support]
        violation = 1 - TOLERANCE - signs * score(columns, coef, intercept)
        violation[working_set] = 0
        violating = np.flatnonzero(violation > 0)
        if len(violating) == 0:
            bounded = np.abs(coef) >= C
            exact = polish(
                everything,
                signs,
                C,
                gamma,
                columns=columns,
                vectors=vectors,
                bounded=bounded,
            )
            return exact or settle(vectors, coef, intercept, TOLERANCE)
        added = violating[np.argsort(-violation[violating], kind="stable")[:ADDED]]
    raise InputError(
        f"train.C: with {C:g}, and a gamma of {gamma:g}, no solution is found on these "
        f"{len(X)} images of two classes; set a lower one"
    )


def polish(
    X: Centred,
    signs: np.ndarray,
    C: float,
    gamma: float,
    *,
    columns: np.ndarray,
    vectors: np.ndarray,
    bounded: np.ndarray,
) -> Machine | None:
    """Find the optimum, which does not depend on how it is found, from a point near it.

    A coefficient c is `signs` times a multiplier from 0 to C. Let f be the rows whose
    multiplier is inside these limits, and u those at C. The optimum solves

        signs_f = K_ff c_f + K_fu c_u + intercept,    0 = sum of c

    The rows of f and u are corrected until multipliers of f are inside the limits, rows of
    u have a margin, signs · score, of at most 1, and all others of at least 1.

    Args:
        X: n_samples images.
        signs: (n_samples,) 1 or -1.
        C: The largest multiplier.
        gamma: Parameter of the kernel.
        columns: (n_samples, n_vectors) float32, the kernel of all images and `vectors`.
        vectors: (n_vectors,) the rows of the support vectors at first.
        bounded: (n_vectors,) whether the multiplier of each is C.

    Returns:
        The machine; None if no single optimum is found.
    """
    from scipy import linalg  # noqa: PLC0415 (few stages need it)

    at_most, inside = np.zeros((2, len(signs)), bool)
    at_most[vectors[bounded]] = inside[vectors[~bounded]] = True
    for _ in range(MAX_EXCHANGES):
        if len(new := np.setdiff1d(np.flatnonzero(inside | at_most), vectors)):
            of_new = Centred(X.pixels[new], X.squares[new])
            columns = np.hstack([columns, kernel(X, of_new, gamma, np.float32)])
            vectors = np.concatenate([vectors, new])
        f, u = np.flatnonzero(inside[vectors]), np.flatnonzero(at_most[vectors])
        coef = np.zeros(len(vectors))
        coef[u] = C * signs[vectors[u]]
        K = columns[vectors[f]]
        A = np.ones((len(f) + 1, len(f) + 1))
        A[:-1, :-1], A[-1, -1] = K[:, f], 0
        B = np.append(signs[vectors[f]] - K[:, u] @ coef[u], -coef[u].sum())[:, None]
        with warnings.catch_warnings(action="ignore"):  # of a singular A
            factors = linalg.lu_factor(A)
        if not np.diagonal(factors[0]).all():
            return None
        solution, error = refine(partial(linalg.lu_solve, factors), A, B)
        if not error < SLACK:
            return None
        coef[f], intercept = solution[:-1, 0], solution[-1, 0]
        margin = signs * score(columns, coef, intercept)
        multiplier = np.zeros(len(signs))
        multiplier[vectors] = coef * signs[vectors]
        were = inside, at_most
        inside = (
            (inside & (multiplier > 0) & (multiplier < C))
            | (at_most & (margin > 1 + SLACK))
            | (~inside & ~at_most & (margin < 1 - SLACK))
        )
        at_most = (were[0] & (multiplier >= C)) | (at_most & (margin <= 1 + SLACK))
        if np.array_equal((inside, at_most), were):
            used = coef != 0
            return settle(vectors[used], coef[used], intercept, error)
    return None


def settle(
    vectors: np.ndarray, coef: np.ndarray, intercept: float, error: float
) -> Machine:
    """Round the coefficients to a grid on which sums of kernels times them are exact.

    Args:
        vectors: (n_vectors,) rows.
        coef: (n_vectors,) float64.
        intercept: A number.
        error: How wrong these may be.

    Returns:
        The machine, its rows in ascending order.
    """
    # twice: the intercept lies between the scores of two support vectors
    step = grid.exact_step(2 * np.abs(coef).sum() + 2) / STEP
    settled = grid.is_settled(np.append(coef, intercept), step, 2 * error)
    order = np.argsort(vectors)
    return Machine(
        vectors[order],
        grid.round_to(coef[order], step),
        float(grid.round_to(intercept, step)),
        settled,
    )


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> PairwiseSVM:
    """Fit +1 for the first class of each pair and -1 for the second."""
    # `map_in_threads` limits the threads of a library only if it is already imported
    import scipy.linalg  # noqa: F401, PLC0415 (few stages need it)

    X = data.pixels

    def solve(pair: tuple[int, int]) -> Machine:
        rows, signs = select(data.y, pair)
        machine = fit_pair(X[rows], signs, options.C, options.gamma)
        return machine._replace(vectors=rows[machine.vectors])

    with warnings.catch_warnings(action="ignore"):  # `fit_pair` raises an error instead
        machines = map_in_threads(solve, pairs(len(data.classes)))
    if unsettled := sum(not machine.settled for machine in machines):
        log.warning(
            "%d of %d support vector machines have no single optimum, or float64 does not "
            "reach it: another processor may give other hashes; another C or gamma can "
            "change that",
            unsettled,
            len(machines),
        )
    used = np.unique(np.concatenate([machine.vectors for machine in machines]))
    coef = np.zeros((len(machines), len(used)))
    for step, (row, machine) in enumerate(zip(coef, machines, strict=True), 1):
        row[np.searchsorted(used, machine.vectors)] = machine.coef
        training_log.record(step, "support vectors", len(machine.vectors))
    return PairwiseSVM(
        classes=data.classes,
        gamma=options.gamma,
        vectors=X[used],
        coef=coef,
        intercept=np.array([machine.intercept for machine in machines]),
    )
