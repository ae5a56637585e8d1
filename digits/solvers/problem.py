"""The objective of logistic regression on one matrix, and a point at which it is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from digits.solvers.losses import Loss
from digits.solvers.standardized import BLOCK_ROWS, StandardizedMatrix


@dataclass
class Direction:
    """A direction in the space of the coefficients.

    Attributes:
        coef: (n_outputs, n_columns) float64.
        scores: X coefᵀ, (n_blocks, n_outputs, BLOCK_ROWS).
    """

    coef: np.ndarray
    scores: np.ndarray


@dataclass
class Point:
    """Coefficients, and what was computed there.

    Attributes:
        coef: (n_outputs, n_columns) float64, the last column being the intercept.
        scores: X coefᵀ, (n_blocks, n_outputs, BLOCK_ROWS), in the type of the passes.
        residuals: Derivatives of each sample's loss by its scores, shaped like `scores`.
        objective: f, (n_problems,) float64.
    """

    coef: np.ndarray
    scores: np.ndarray
    residuals: np.ndarray
    objective: np.ndarray


class LogisticProblem:
    """f(W) = C · Σ log-loss + ½‖W‖², where the intercept is not penalised.

    Args:
        X: The data.
        member: (n_samples, n_outputs) bool, whether a sample is of a class.
        loss: The log-loss.
        C: Inverse strength of the penalty.

    Attributes:
        X, loss, C: As given.
        n_outputs: Number of rows of the coefficients.
        targets: (n_blocks, n_outputs, BLOCK_ROWS) int8.
        penalty_mask: (n_columns,), 1 where a coefficient is penalised, 0 for the intercept.
        padding_loss: C times the loss of the padded rows, which is to be subtracted.
    """

    def __init__(
        self, X: StandardizedMatrix, member: np.ndarray, loss: Loss, C: float
    ) -> None:
        self.X, self.loss, self.C = X, loss, C
        self.n_outputs = member.shape[1]
        self.targets = X.to_blocks(loss.targets(member))
        if X.padding:
            self.targets[-1, :, -X.padding :] = loss.padding_target
        self.penalty_mask = np.ones(X.n_columns)
        self.penalty_mask[-1] = 0
        self.padding_loss = X.padding * (C * loss.at_zero(self.n_outputs))

    def origin(self) -> Point:
        """Return the point where all coefficients are 0, in float32."""
        shape = (self.X.n_blocks, self.n_outputs, BLOCK_ROWS)
        scores = np.zeros(shape, np.float32)
        _, residuals, _ = self.loss.evaluate(scores, self.targets)
        objective = self.X.n_samples * (self.C * self.loss.at_zero(self.n_outputs))
        return Point(
            coef=np.zeros((self.n_outputs, self.X.n_columns)),
            scores=scores,
            residuals=residuals.astype(np.float32),
            objective=np.full(self.loss.n_problems(self.n_outputs), objective),
        )

    def gradient(self, point: Point, dtype: DTypeLike) -> np.ndarray:
        """Return ∇f, (n_outputs, n_columns), by a backward pass over the data.

        Args:
            point: Where.
            dtype: Type of the pass.
        """
        gradient = self.X.rmatmul(point.residuals, dtype)
        return self.C * gradient + self.penalty_mask * point.coef

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

    def evaluate(self, coef: np.ndarray) -> Point:
        """Return the point of these coefficients, (n_outputs, n_columns), in float64."""
        scores = self.X.scores(coef, float)
        residuals = np.empty_like(scores)

        def chunk(first: int, end: int) -> np.ndarray:
            blocks = slice(first, end)
            Z, Y = scores[blocks], self.targets[blocks]
            loss, residuals[blocks], _ = self.loss.evaluate(Z, Y)
            total: np.ndarray = loss.sum(axis=(0, 2))
            return total

        losses = self.X.map_chunks(chunk)
        penalty = (self.penalty_mask * coef * coef).sum(axis=1) / 2
        if self.loss.coupled:
            penalty = penalty.sum(keepdims=True)
        objective = self.C * sum(losses) + penalty - self.padding_loss
        return Point(coef, scores, residuals, objective)

    def curvature(self, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return the curvatures of the loss, and their sums.

        Args:
            point: Where.

        Returns:
            What `hessian_product` takes: p(1 - p), or the p of a softmax, float32, 0 for
            padded rows; and C · Σ p(1 - p), (n_outputs,) float64.
        """
        curvature = self.loss.curvature(point.residuals, self.targets)
        if self.X.padding:
            curvature[-1, :, -self.X.padding :] = 0
        own = curvature * (1 - curvature) if self.loss.coupled else curvature
        total = own.sum(axis=(0, 2), dtype=float)
        return curvature.astype(np.float32), self.C * total

    def hessian_product(
        self, curvature: np.ndarray, V: np.ndarray, dtype: DTypeLike
    ) -> np.ndarray:
        """Return the Hessian of f times V, by a pass over the data.

        Args:
            curvature: As `curvature` returns it.
            V: (n_outputs, n_columns).
            dtype: Type of the pass.
        """

        def weigh(Z: np.ndarray, blocks: slice) -> np.ndarray:
            w = curvature[blocks]
            Z *= w
            if self.loss.coupled:
                Z -= w * Z.sum(axis=1, keepdims=True)
            return Z

        product = self.X.map_scores(weigh, V, dtype)
        return self.C * product + self.penalty_mask * V

    def relative_gap(self, objective: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Bound (f - f*) / f*, by the 1-strong convexity of f.

        It holds where the gradient by the intercept is 0.

        Args:
            objective: f, (n_problems,).
            gradient: ∇f, (n_outputs, n_columns).

        Returns:
            ½‖∇f‖² / (f - ½‖∇f‖²), (n_problems,), infinite where that is not positive.
        """
        bound = self.dot(gradient, gradient).ravel() / 2
        lowest = objective - bound  # f* is at least that
        return np.divide(bound, lowest, out=np.full_like(bound, np.inf), where=lowest > 0)
