"""Hessians of a logistic loss, estimated from rows that are sampled by their leverage.

The Hessian of a class is Xᵀ diag(w) X with the curvatures w = C p(1 - p). Few rows suffice
for a preconditioner if they are drawn with probability proportional to their leverage
wᵢ xᵢᵀ M⁻¹ xᵢ, where M is any Hessian nearby (Cohen et al., 2015). M is the preconditioner
before. Random projections estimate the leverages (Spielman and Srivastava, 2011;
Drineas et al., 2012): xᵀ M⁻¹ x is the variance of xᵀ L⁻ᵀ z, where z is standard normal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat

import numpy as np

from digits.parallel import sum_tuples
from digits.solvers.losses import floored_curvature
from digits.solvers.preconditioner import Preconditioner
from digits.solvers.problem import LogisticProblem, State
from digits.solvers.rows import BLOCK_ROWS, Applied, Segment
from digits.solvers.standardized import (
    Columns,
    Weights,
    chunks,
    clear_padding,
    scores,
    weighted_gram,
)

N_PROJECTIONS = 8  # for the leverages
ROWS_PER_HESSIAN = 3500  # rows drawn for a class, at least
ROW_FRACTION = 50  # of many samples, a fiftieth is drawn
MAX_ROW_FRACTION = 3  # and at most a third
ROW_GROWTH = 1.05  # so many times the rows the next time
CURVATURE_SHARE = 0.3  # of a draw that is by curvature alone, compared with leverage
MOST_SENT = 20_000  # rows drawn for a class, up to which they are multiplied in one place
SCALE_STEPS, MAX_SCALE = 100, 1e30
# The buckets of a histogram: exponent and 3 bits of the fraction of a positive float32.
BUCKET_SHIFT, N_BUCKETS = 20, 2**11
CLASSES = 10  # whose Hessians are sampled at once, which bounds the memory


class HessianSampler:
    """Estimates Hessians from sampled rows. The random numbers are seeded.

    Args:
        problem: The objective.

    Attributes:
        n_rows: About how many rows are drawn for a class the next time.
    """

    def __init__(self, problem: LogisticProblem) -> None:
        self._problem = problem
        self._random = np.random.default_rng(0)
        n_samples = problem.X.n_samples
        self.n_rows = max(ROWS_PER_HESSIAN, n_samples // ROW_FRACTION)
        self._max_rows = max(n_samples // MAX_ROW_FRACTION, ROWS_PER_HESSIAN)

    def double_rows(self) -> None:
        """Draw twice as many rows from now on, if there are enough."""
        self.n_rows = min(2 * self.n_rows, self._max_rows)

    def grams(
        self, classes: Sequence[int], preconditioner: Preconditioner
    ) -> Iterator[np.ndarray]:
        """Estimate Xᵀ diag(C p_c (1 - p_c)) X at the current point, for each class c.

        Args:
            classes: In ascending order.
            preconditioner: A Hessian nearby, for the leverages.

        Yields:
            (n_columns, n_columns) float32 for each class.
        """
        X, shape = self._problem.X, (self._problem.n_outputs, self._problem.X.n_columns)
        probes = [
            preconditioner.solve_upper(self._random.standard_normal(shape, np.float32))
            for _ in range(N_PROJECTIONS)
        ]
        for first in range(0, len(classes), CLASSES):
            some = list(classes[first : first + CLASSES])
            coef = np.concatenate([probe[some] for probe in probes])
            weights = X.columns.to_raw(coef, np.float32)
            leverage, curvature = X.rows.step(_leverages, weights, some)
            shares = 1 / (leverage + 1e-30), CURVATURE_SHARE / (curvature + 1e-30)
            count, total = X.rows.step(_importance, some, shares)
            scale = _probability_scale(count, total, self.n_rows * len(some))
            draw = some, self._problem.C, scale, int(self._random.integers(2**63))
            if self.n_rows > MOST_SENT:
                yield from X.rows.step(_sampled_grams, *draw)
            else:
                drawn = X.rows.step(_sampled_rows, *draw)
                columns = repeat(X.columns)
                yield from X.rows.pool.map(_gram_of_parts, columns, drawn)
        self.n_rows = min(int(self.n_rows * ROW_GROWTH), self._max_rows)


def _leverages(segment: Segment, weights: Weights, classes: list[int]) -> Applied:
    """Estimate the leverage of each row, up to a factor; sum leverages and curvatures.

    Args:
        segment: The rows.
        weights: The random projections, for each of them all classes.
        classes: Which.
    """
    state: State = segment.state
    leverage = np.empty((segment.n_blocks, len(classes), BLOCK_ROWS), np.float32)
    sums = []
    for blocks in chunks(segment):
        V = scores(segment, blocks, weights)
        V = V.reshape(len(V), N_PROJECTIONS, len(classes), BLOCK_ROWS)
        w = _curvature(segment, blocks, classes)
        leverage[blocks] = part = w * np.einsum("bpkr,bpkr->bkr", V, V)
        sums.append((float(part.sum(dtype=float)), float(w.sum(dtype=float))))
    state = replace(state, leverage=leverage)
    return Applied(replace(segment, state=state), tuple(sum_tuples(sums)))


def _importance(
    segment: Segment, classes: list[int], shares: tuple[float, float]
) -> Applied:
    """Replace the leverages by the importance of each row, and make a histogram of it.

    Args:
        segment: The rows, with their leverages.
        classes: Which.
        shares: By what leverage and curvature are multiplied.

    Returns:
        With the sums: for each of the buckets, how many values are in it, and their sum.
    """
    state: State = segment.state
    assert state.leverage is not None  # noqa: S101 (computed by the operation before)
    importance = np.empty_like(state.leverage)
    count, total = np.zeros(N_BUCKETS), np.zeros(N_BUCKETS)
    for blocks in chunks(segment):
        w = _curvature(segment, blocks, classes)
        part = shares[0] * state.leverage[blocks] + shares[1] * w
        importance[blocks] = part = part.astype(np.float32)
        bucket = part.ravel().view(np.int32) >> BUCKET_SHIFT
        count += np.bincount(bucket, minlength=N_BUCKETS)
        total += np.bincount(bucket, part.ravel(), N_BUCKETS)
    state = replace(state, leverage=importance)
    return Applied(replace(segment, state=state), (count, total))


def _probability_scale(count: np.ndarray, total: np.ndarray, n_drawn: int) -> float:
    """Return the scale at which min(1, scale · importance) sums to about n_drawn.

    Args:
        count: How many values are in each bucket.
        total: Their sum.
        n_drawn: The number of rows of all classes.
    """
    scale = float(n_drawn)
    for _ in range(SCALE_STEPS):
        drawn = float(np.minimum(count, scale * total).sum())
        scale = min(scale * n_drawn / (drawn + 1e-30), MAX_SCALE)
    return scale


def _sampled_rows(
    segment: Segment, classes: list[int], C: float, scale: float, seed: int
) -> Applied:
    """Draw rows independently, for each class.

    Args:
        segment: The rows, with their importance.
        classes: Which.
        C: Inverse strength of the penalty.
        scale: By what importance is multiplied in the probability of a row.
        seed: Of this draw.

    Returns:
        With the sums: for each class a list, because lists are added by joining them, with
        the pixels of the rows, and √(C · curvature / probability) of each, float32.
    """
    state: State = segment.state
    assert state.leverage is not None  # noqa: S101 (computed by the operation before)
    every, drawn = slice(0, segment.n_blocks), []
    for position, c in enumerate(classes):
        p = np.minimum(1, np.float32(scale) * state.leverage[:, position].ravel())
        random = np.random.default_rng([seed, c, segment.number])
        index = np.flatnonzero(random.random(len(p), np.float32) < p)
        w = _curvature(segment, every, [c]).ravel()[index]
        root = np.sqrt(np.float32(C) * w / p[index])
        drawn.append([(segment.pixels[index], root)])
    return Applied(replace(segment, state=replace(state, leverage=None)), tuple(drawn))


def _sampled_grams(
    segment: Segment, classes: list[int], C: float, scale: float, seed: int
) -> Applied:
    """Estimate Xᵀ diag(C · curvature) X of each class from rows drawn as above."""
    segment, drawn = _sampled_rows(segment, classes, C, scale, seed)
    grams = tuple(_gram_of_parts(segment.columns, parts) for parts in drawn)
    return Applied(segment, grams)


def _gram_of_parts(
    columns: Columns, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Return FᵀF, where F are standardised rows times `root`.

    Args:
        columns: How columns are standardised.
        parts: Pixels and roots.
    """
    pixels, root = (np.concatenate(values) for values in zip(*parts, strict=True))
    return weighted_gram(columns, pixels, root)


def _curvature(segment: Segment, blocks: slice, classes: list[int]) -> np.ndarray:
    """Return the floored curvature of some blocks, float32, 0 for padded rows."""
    R = segment.state.residuals[blocks]
    w = floored_curvature(R[:, classes].astype(np.float32))
    clear_padding(segment, blocks, w)
    return w
