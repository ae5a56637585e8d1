"""Support vector machines with a Gaussian kernel, of each class against each other.

    kernel(x, y) = exp(-gamma ‖x - y‖²), of pixels from 0 to 1

libsvm (by scikit-learn) solves each pair on some of its images. Those that come out on
the wrong side of the margin are added, all but the support vectors are dropped, until
none is on the wrong side by more than the tolerance: then the solution is that of all
images, and no kernel of all images with all was needed.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models import Course, Model
from digits.models.pairs import pairs, votes
from digits.parallel import available_threads, map_row_blocks

TOLERANCE = 1e-3  # libsvm's
MOST = 1500  # images that are added to a pair's at a time
ROUNDS = 200  # of that; as the rounding of a large C's scores may go on without an end
STEPS = 10_000_000  # of libsvm's in a round, which sets itself no limit


class Options(TrainBlock):
    """Support vector machines of each two classes, with a Gaussian kernel."""

    summary = "A Gaussian support vector machine between each two classes; they vote"

    model: Literal["support_vectors"]
    # Coefficients are at most C, and the kernel is right to seven digits.
    C: Annotated[float, Field(ge=1e-6, le=1e6)] = Field(
        description="Inverse strength of the penalty."
    )
    # below, the kernel is 1 for all images, to seven digits; above, 0 but for the same
    gamma: Annotated[float, Field(ge=1e-6, le=100)] = Field(
        description="The kernel is exp(-gamma ‖x - y‖²), of pixels from 0 to 1."
    )


@dataclass(frozen=True, kw_only=True)
class VectorsModel(Model):
    """The machines, and their support vectors.

    gamma: of pixels from 0 to 1
    vectors: (n_vectors, n_pixels) uint8
    coef: (n_pairs, n_vectors) float64, 0 where a vector is none of the pair's
    intercept: (n_pairs,) float64
    """

    kind: ClassVar[str] = "support_vectors"
    gamma: float
    vectors: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return self.vectors.shape[1]

    def _scores(self, images: np.ndarray) -> np.ndarray:
        X = images.reshape(len(images), -1)

        def of(rows: slice) -> np.ndarray:
            K = kernel(X[rows], self.vectors, self.gamma)
            return votes(K @ self.coef.T + self.intercept, len(self.classes))

        return np.concatenate(map_row_blocks(of, len(X), 500))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_pairs = len(pairs(len(self.classes)))
        n_vectors = len(self.vectors)
        return {
            "vectors": (n_vectors, self.vectors.shape[-1]),
            "coef": (n_pairs, n_vectors),
            "intercept": (n_pairs,),
        }


MODEL = VectorsModel


def kernel(X: np.ndarray, Y: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma ‖x - y‖² / 255²), (len(X), len(Y)) float32.

    X, Y: (n, n_pixels) uint8
    """
    X, Y = X.astype(np.float32) / 255, Y.astype(np.float32) / 255
    K = X @ Y.T
    K *= 2
    K -= np.einsum("ij,ij->i", X, X)[:, None]
    K -= np.einsum("ij,ij->i", Y, Y)
    K *= gamma
    return np.exp(K, out=K)


def machine(
    X: np.ndarray, signs: np.ndarray, C: float, gamma: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a pair's support vectors (rows of X), their coefficients, and the intercept.

    X: (n_samples, n_pixels) uint8; signs: (n_samples,) +1 or -1
    """
    from sklearn.svm import SVC  # noqa: PLC0415 (importing scikit-learn takes seconds)

    # evenly spread over each class: the start decides nothing but how long it takes
    work = np.concatenate(
        [
            rows[:: -(-2 * len(rows) // MOST)]
            for rows in map(np.flatnonzero, (signs > 0, signs < 0))
        ]
    )
    for _ in range(ROUNDS):
        K = kernel(X[work], X[work], gamma)
        svc = SVC(C=C, kernel="precomputed", tol=TOLERANCE, cache_size=500, max_iter=STEPS)
        svc.fit(K, signs[work])
        if svc.fit_status_:  # not solved
            break
        vectors, coef, intercept = work[svc.support_], svc.dual_coef_[0], svc.intercept_[0]
        scores = kernel(X, X[vectors], gamma) @ coef + intercept
        lack = 1 - TOLERANCE - signs * scores
        lack[work] = 0
        wrong = np.flatnonzero(lack > 0)
        if len(wrong) == 0:
            return vectors, coef, intercept
        worst = wrong[np.argsort(-lack[wrong], kind="stable")[:MOST]]
        work = np.sort(np.concatenate([vectors, worst]))
    raise InputError(
        f"train.C: with {C:g}, and a gamma of {gamma:g}, no solution is found on these "
        f"{len(X)} images of two classes; set a lower one"
    )


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> VectorsModel:
    """Fit +1 for each pair's first class and -1 for its second, on their images alone."""
    X = images.reshape(len(images), -1)

    def solve(pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, float]:
        here = np.flatnonzero((y == pair[0]) | (y == pair[1]))
        signs = np.where(y[here] == pair[0], 1, -1)
        rows, coef, intercept = machine(X[here], signs, options.C, options.gamma)
        return here[rows], coef, intercept

    with (
        threadpool_limits(1, "blas"),
        warnings.catch_warnings(action="ignore"),  # of what `machine` refuses
        ThreadPoolExecutor(available_threads()) as pool,
    ):
        machines = list(pool.map(solve, pairs(len(classes))))
    used = np.unique(np.concatenate([rows for rows, _, _ in machines]))
    coef = np.zeros((len(machines), len(used)))
    for step, (row, (rows, own, _)) in enumerate(zip(coef, machines, strict=True), 1):
        row[np.searchsorted(used, rows)] = own
        course.record(step, "support vectors", len(rows))
    return VectorsModel(
        classes=classes,
        gamma=options.gamma,
        vectors=X[used],
        coef=coef,
        intercept=np.array([intercept for _, _, intercept in machines]),
    )
