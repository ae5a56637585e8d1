"""The objective of logistic regression on one matrix, and a point at which it is known.

Scores, residuals and all else that belongs to a row are in the segments of the rows; this
module has the operations on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from digits.parallel import sum_tuples
from digits.solvers.losses import Loss
from digits.solvers.rows import BLOCK_ROWS, Applied, Segment
from digits.solvers.standardized import (
    Columns,
    StandardizedMatrix,
    Weights,
    chunks,
    clear_padding,
    rare_scores,
    rmatmul,
    scores,
    tiles,
    to_blocks,
    with_rare_product,
)


@dataclass
class Point:
    """Coefficients, and what is known there.

    Attributes:
        coef: (n_outputs, n_columns) float64, the last column being the intercept.
        objective: f, (n_problems,) float64.
        gradient: ∇f, (n_outputs, n_columns) float64.
        intercept_curvature: Second derivatives of f by the intercepts, (n_outputs,); of
            points in float64 only.
    """

    coef: np.ndarray
    objective: np.ndarray
    gradient: np.ndarray
    intercept_curvature: np.ndarray


@dataclass(frozen=True)
class State:
    """What the objective keeps of the rows of a segment.

    All arrays are (n_blocks, n_outputs, BLOCK_ROWS), in the type of the passes if nothing
    else is said.

    Attributes:
        loss: The log-loss.
        targets: int8.
        scores: X coefᵀ at the current point.
        residuals: Derivatives of each sample's loss by its scores, there.
        directions: Scores of the directions of a search; between two searches, those of the
            last step, in float32 only.
        curvature: p(1 - p), or the p of a softmax, float32, at a point in float64; 0 for
            padded rows.
        leverage: While Hessians are sampled, the leverages of their classes, and then
            their importance, (n_blocks, n_classes, BLOCK_ROWS) float32.
    """

    loss: Loss
    targets: np.ndarray
    scores: Any = None
    residuals: Any = None
    directions: tuple[np.ndarray, ...] = ()
    curvature: np.ndarray | None = None
    leverage: np.ndarray | None = None


class LogisticProblem:
    """f(W) = C · Σ log-loss + ½‖W‖², where the intercept is not penalised.

    Args:
        X: The data, whose rows have as `y` the index of their class.
        n_classes: Number of classes. Of two, the second is the only output.
        loss: The log-loss.
        C: Inverse strength of the penalty.

    Attributes:
        X, loss, C: As given.
        n_outputs: Number of rows of the coefficients.
        penalty_mask: (n_columns,), 1 where a coefficient is penalised, 0 for the intercept.
    """

    def __init__(self, X: StandardizedMatrix, n_classes: int, loss: Loss, C: float) -> None:
        self.X, self.loss, self.C = X, loss, C
        self.n_outputs = n_classes if n_classes > 2 else 1  # noqa: PLR2004
        self.penalty_mask = np.ones(X.n_columns)
        self.penalty_mask[-1] = 0
        # C times the loss of the padded rows, which is to be subtracted
        padding = -X.n_samples % BLOCK_ROWS
        self._padding_loss = padding * (C * loss.at_zero(self.n_outputs))

    def origin(self) -> Point:
        """Go to the point where all coefficients are 0, in float32."""
        sums = self.X.rows.step(_start, self.X.columns, self.loss, self.n_outputs)
        coef = np.zeros((self.n_outputs, self.X.n_columns))
        return self._point(coef, sums)

    def go_to(self, coef: np.ndarray) -> Point:
        """Go to these coefficients, (n_outputs, n_columns), in float64, by a pass."""
        columns = self.X.columns
        arguments = columns, self.loss, self.n_outputs, columns.to_raw(coef, float)
        sums = self.X.rows.step(_place, *arguments, fresh=True)
        return self._point(coef, sums)

    def objective(self, coef: np.ndarray) -> np.ndarray:
        """Return f, (n_problems,), of these coefficients, in float64; go nowhere."""
        (loss,) = self.X.rows.sum(_loss_at, self.X.columns.to_raw(coef, float))
        return self.objective_of(loss, coef)

    def look_along(
        self, direction: np.ndarray, n_directions: int, dtype: DTypeLike
    ) -> list[Any]:
        """Compute the scores of a direction, for a search from the current point.

        Args:
            direction: (n_outputs, n_columns).
            n_directions: 2 if the last step is another direction of the search, else 1.
            dtype: Type of the pass.

        Returns:
            Σ of the derivatives of the loss, as `derivatives` returns them.
        """
        weights = self.X.columns.to_raw(direction, dtype)
        return self.X.rows.step(_look, weights, n_directions)

    def derivatives(self, weights: np.ndarray) -> list[Any]:
        """Sum the loss at weights of the directions, and its derivatives by the weights.

        Args:
            weights: (n_directions, n_outputs).

        Returns:
            The loss, (n_problems,); its gradient, (n_directions, n_outputs); the part of
            its Hessian within each output, (n_directions, n_directions, n_outputs); and
            what a softmax subtracts from all of it, (m, m).
        """
        return self.X.rows.sum(_derivatives, weights)

    def move(self, weights: np.ndarray, coef: np.ndarray) -> Point:
        """Go along the directions.

        Args:
            weights: (n_directions, n_outputs). Of a softmax, the mean of all outputs is
                subtracted from the step.
            coef: The coefficients there.
        """
        return self._point(coef, self.X.rows.step(_move, weights))

    def hessian_product(self, V: np.ndarray, dtype: DTypeLike) -> np.ndarray:
        """Return the Hessian of f times V, by a pass over the data, in phase 3.

        Args:
            V: (n_outputs, n_columns).
            dtype: Type of the pass.
        """
        columns = self.X.columns
        product = self.X.rows.sum(_hessian_product, columns.to_raw(V, dtype))
        return self.C * columns.from_raw(*product) + self.penalty_mask * V

    def dot(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the inner product of each problem.

        Args:
            u: (n_outputs, n_columns).
            v: (n_outputs, n_columns).

        Returns:
            (n_problems, 1), which can scale (n_outputs, n_columns).
        """
        product = u * v
        if self.loss.coupled:
            return product.sum(keepdims=True)
        return product.sum(axis=1, keepdims=True)

    def relative_gap(self, point: Point) -> np.ndarray:
        """Bound (f - f*) / f*, by the 1-strong convexity of f.

        It holds where the gradient by the intercept is 0.

        Args:
            point: Where.

        Returns:
            ½‖∇f‖² / (f - ½‖∇f‖²), (n_problems,), infinite where that is not positive.
        """
        bound = self.dot(point.gradient, point.gradient).ravel() / 2
        lowest = point.objective - bound  # f* is at least that
        return np.divide(bound, lowest, out=np.full_like(bound, np.inf), where=lowest > 0)

    def _point(self, coef: np.ndarray, sums: list[Any]) -> Point:
        loss, product, total, curvature = sums
        gradient = self.C * self.X.columns.from_raw(product, total)
        gradient += self.penalty_mask * coef
        return Point(coef, self.objective_of(loss, coef), gradient, self.C * curvature)

    def objective_of(self, loss: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return f, (n_problems,), where the rows' losses sum to `loss`."""
        penalty = (self.penalty_mask * coef * coef).sum(axis=1) / 2
        if self.loss.coupled:
            penalty = penalty.sum(keepdims=True)
        objective: np.ndarray = self.C * loss + penalty - self._padding_loss
        return objective


def _start(segment: Segment, columns: Columns, loss: Loss, n_outputs: int) -> Applied:
    """Go to the origin, in float32."""
    segment = _with_targets(segment, columns, loss, n_outputs)
    Z = np.zeros(segment.state.targets.shape, np.float32)
    return _arrive(segment, Z.dtype, lambda blocks: Z[blocks])


def _place(
    segment: Segment, columns: Columns, loss: Loss, n_outputs: int, weights: Weights
) -> Applied:
    """Go to the point of these coefficients."""
    segment = _with_targets(segment, columns, loss, n_outputs)
    return _arrive(
        segment, weights.shift.dtype, lambda blocks: scores(segment, blocks, weights)
    )


def _with_targets(
    segment: Segment, columns: Columns, loss: Loss, n_outputs: int
) -> Segment:
    """Return the segment with all that does not depend on the point."""
    classes = np.arange(n_outputs) if n_outputs > 1 else np.ones(1)
    targets = to_blocks(segment, loss.targets(segment.y[:, None] == classes))
    if segment.padding:
        targets[-1, :, -segment.padding :] = loss.padding_target
    return replace(segment, columns=columns, state=State(loss, targets))


def _move(segment: Segment, weights: np.ndarray) -> Applied:
    """Go along the directions; in float32, keep the step's scores."""
    state: State = segment.state
    w = _cast(weights, state)
    dtype = state.scores.dtype
    keep = dtype == np.float32
    steps = np.empty_like(state.scores) if keep else None

    def along(blocks: slice) -> np.ndarray:
        step = _combine(w, [d[blocks] for d in state.directions])
        if state.loss.coupled:
            step -= step.mean(axis=1, keepdims=True)
        if steps is not None:
            steps[blocks] = step
        step += state.scores[blocks]
        return step

    kept = () if steps is None else (steps,)
    return _arrive(segment, dtype, along, kept)


def _arrive(
    segment: Segment,
    dtype: np.dtype,
    new_scores: Callable[[slice], np.ndarray],
    kept: tuple[np.ndarray, ...] = (),
) -> Applied:
    """Go to a point; sum the loss, its gradient and, in float64, its curvature.

    Args:
        segment: The rows.
        dtype: Type of the scores.
        new_scores: Function of a slice of blocks that returns the scores there.
        kept: The directions that are kept.
    """
    state: State = segment.state
    Z = np.empty(state.targets.shape, dtype)
    R = np.empty_like(Z)
    P = np.empty(Z.shape, np.float32) if dtype == np.float64 else None
    sums = []
    for blocks in chunks(segment):
        z = Z[blocks] = new_scores(blocks)
        loss, r, curvature = state.loss.evaluate(z, state.targets[blocks])
        R[blocks] = r
        own: Any = np.zeros(r.shape[1])
        if P is not None:
            clear_padding(segment, blocks, curvature)
            P[blocks] = curvature
            if state.loss.coupled:
                curvature = curvature * (1 - curvature)
            own = curvature.sum(axis=(0, 2), dtype=float)
        product = rmatmul(segment, blocks, r, dtype)
        sums.append((loss.sum(axis=(0, 2), dtype=float), *product, own))
    state = replace(state, scores=Z, residuals=R, directions=kept, curvature=P)
    return Applied(replace(segment, state=state), tuple(sum_tuples(sums)))


def _loss_at(segment: Segment, weights: Weights) -> tuple[Any, ...]:
    """Sum the loss of these coefficients."""
    state: State = segment.state
    total: Any = 0.0
    for blocks in chunks(segment):
        Z = scores(segment, blocks, weights)
        loss, _, _ = state.loss.evaluate(Z, state.targets[blocks])
        total = total + loss.sum(axis=(0, 2))
    return (total,)


def _look(segment: Segment, weights: Weights, n_directions: int) -> Applied:
    """Add a direction, and sum the derivatives of the loss along all directions."""
    state: State = segment.state
    D = np.empty_like(state.scores)
    directions, sums = (D, *state.directions)[:n_directions], []
    for blocks in chunks(segment):
        D[blocks] = scores(segment, blocks, weights)
        R = state.residuals[blocks]
        curvature = state.loss.curvature(R, state.targets[blocks])
        sums.append(_along(state.loss, [d[blocks] for d in directions], R, curvature))
    state = replace(state, directions=directions, curvature=None)
    return Applied(replace(segment, state=state), tuple(sum_tuples(sums)))


def _derivatives(segment: Segment, weights: np.ndarray) -> tuple[Any, ...]:
    """Sum the loss and its derivatives at weights of the directions."""
    state: State = segment.state
    w, sums = _cast(weights, state), []
    for blocks in chunks(segment):
        D = [d[blocks] for d in state.directions]
        Z = state.scores[blocks] + _combine(w, D)
        loss, R, curvature = state.loss.evaluate(Z, state.targets[blocks])
        along = _along(state.loss, D, R, curvature)
        sums.append((loss.sum(axis=(0, 2), dtype=float), *along))
    return tuple(sum_tuples(sums))


def _along(
    loss: Loss, D: Sequence[np.ndarray], R: np.ndarray, curvature: np.ndarray
) -> tuple[Any, ...]:
    """Return the derivatives that `LogisticProblem.derivatives` sums, without the loss."""
    slope = np.stack([(R * d).sum(axis=(0, 2)) for d in D])
    T = [curvature * d for d in D]
    own = np.stack([[(t * d).sum(axis=(0, 2)) for d in D] for t in T])
    coupling: Any = 0.0
    if loss.coupled:
        stacked = np.concatenate(T, axis=1)
        products = np.matmul(stacked, stacked.transpose(0, 2, 1))
        coupling = products.sum(0, dtype=float)
    return slope.astype(float), own.astype(float), coupling


def _cast(weights: np.ndarray, state: State) -> np.ndarray:
    """Return weights that can scale the scores of directions."""
    return weights.astype(state.scores.dtype)[:, None, :, None]


def _combine(w: np.ndarray, D: Sequence[np.ndarray]) -> np.ndarray:
    """Return Σ w[j] D[j], a new array."""
    total = w[0] * D[0]
    for weight, d in zip(w[1:], D[1:], strict=True):
        total += weight * d
    return total


def _hessian_product(segment: Segment, weights: Weights) -> tuple[Any, ...]:
    """Multiply by the Hessian of the loss, in a single pass over the rows."""
    state: State = segment.state
    assert state.curvature is not None  # noqa: S101 (in phase 3 there is one)
    raw, sums = weights.weights, []
    for blocks in chunks(segment):
        P = state.curvature[blocks]
        R = np.empty(P.shape, raw.dtype)
        R[:] = rare_scores(segment, blocks, weights)
        R += weights.shift
        product: Any = 0.0
        for i, tile in tiles(segment, blocks, raw.dtype):
            w = P[i : i + len(tile)]  # 0 for padded rows
            r = R[i : i + len(tile)]
            r += np.matmul(raw, tile.transpose(0, 2, 1))
            r *= w
            if state.loss.coupled:
                r -= w * r.sum(axis=1, keepdims=True)
            for values, block in zip(r, tile, strict=True):
                product = product + np.matmul(values, block)
        product = with_rare_product(segment, blocks, R, product)
        sums.append((product, R.sum(axis=(0, 2), dtype=float)))
    return tuple(sum_tuples(sums))
