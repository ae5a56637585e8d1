"""Exact minimisation in the span of a few directions, without a pass over the data.

Scores are linear in the coefficients. So if the scores of the directions are stored, the
objective on their span needs only the loss of each sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.parallel import sum_tuples
from digits.solvers.problem import Direction, LogisticProblem, Point

NEWTON_STEPS = 8  # at most, of one search
BACKTRACKS = 20  # at most, of one Newton step; each divides its length by BACKTRACK
BACKTRACK = 3
ENOUGH = 0.02  # the share of the decrease so far below which a further step is not worth it
NEGLIGIBLE = 1e-9  # the share of f below which it is not, either
ROUNDING_32, ROUNDING_64 = 1e-7, 1e-14  # relative; an increase of f by less is rounding
DAMPING = 1e-9  # added to the diagonal of a Hessian, relative


@dataclass
class SearchResult:
    """The lowest point that a search has found.

    Attributes:
        weights: (n_directions, n_outputs), the coefficient of each direction.
        scores: Of all samples, in blocks.
        residuals: Of all samples, in blocks.
        objective: (n_problems,).
    """

    weights: np.ndarray
    scores: np.ndarray
    residuals: np.ndarray
    objective: np.ndarray


@dataclass
class Derivatives:
    """The objective on the span at some weights, with its derivatives by the weights.

    Attributes:
        objective: (n_problems,).
        gradient: (n_problems, m), where m is the number of weights of a problem: those of
            one output, or those of all outputs of a softmax, direction by direction.
        hessian: (n_problems, m, m).
    """

    objective: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


def minimize(
    problem: LogisticProblem,
    point: Point,
    directions: Sequence[Direction],
    *,
    reuse: bool = True,
) -> SearchResult:
    """Minimise f over `point` + Σ weights[j] · directions[j], by Newton's method.

    Each output has its own weights.

    Args:
        problem: The objective f.
        point: Where the search begins.
        directions: One or two directions.
        reuse: Whether the residuals and the objective of `point` belong to its scores,
            so that the first evaluation need not compute them again.
    """
    rounding = ROUNDING_32 if point.scores.dtype == np.float32 else ROUNDING_64
    subspace = SubspaceObjective(problem, point, directions)
    weights = np.zeros((len(directions), problem.n_outputs))
    at = subspace.evaluate(weights, reuse=reuse)
    start = at.objective
    for attempt in range(NEWTON_STEPS):
        step, decrement = _newton_step(at)
        decrease = start - at.objective + decrement
        enough = np.maximum(ENOUGH * decrease, NEGLIGIBLE * np.abs(at.objective))
        if attempt and np.all(decrement <= enough):
            break
        newton = subspace.by_output(step)
        length = np.ones_like(start)
        highest = at.objective + rounding * np.abs(at.objective)
        for _ in range(BACKTRACKS):
            new = subspace.evaluate(weights + length * newton)
            worse = ~(new.objective <= highest)
            if not worse.any():
                break
            length = np.where(worse, length / BACKTRACK, length)
        weights, at = weights + length * newton, new
    return SearchResult(weights, subspace.scores, subspace.residuals, at.objective)


class SubspaceObjective:
    """f on `point` + Σ weights[j] · directions[j], as a function of the weights.

    Args:
        problem: The objective f.
        point: Where all weights are 0.
        directions: The directions.

    Attributes:
        scores: Of the last evaluation without `reuse`.
        residuals: The same.
    """

    def __init__(
        self, problem: LogisticProblem, point: Point, directions: Sequence[Direction]
    ) -> None:
        self._problem, self._point = problem, point
        self._direction_scores = [direction.scores for direction in directions]
        P, W, D = problem.penalty_mask, point.coef, [d.coef for d in directions]
        # The penalty is ½ wᵀ Q w + bᵀ w + c of the weights w of each output.
        self._Q = np.stack([[(P * u * v).sum(axis=1) for v in D] for u in D])
        self._b = np.stack([(P * W * u).sum(axis=1) for u in D])
        self._c = (P * W * W).sum(axis=1) / 2
        self.scores = np.empty_like(point.scores)
        self.residuals = np.empty_like(point.scores)

    def by_output(self, values: np.ndarray) -> np.ndarray:
        """Reshape (n_problems, m) to (n_directions, n_outputs)."""
        if self._problem.loss.coupled:
            return values.reshape(len(self._direction_scores), -1)
        return values.T

    def evaluate(self, weights: np.ndarray, *, reuse: bool = False) -> Derivatives:
        """Evaluate f and its derivatives; keep the scores and the residuals.

        Args:
            weights: (n_directions, n_outputs).
            reuse: Take the objective and the residuals from the point, and keep nothing.
                The weights must be 0.
        """
        problem, point = self._problem, self._point
        C, coupled = problem.C, problem.loss.coupled
        loss, slope, own, coupling = self._sum_samples(weights, reuse=reuse)
        gradient = C * slope + self._b + np.einsum("ijk,jk->ik", self._Q, weights)
        hessian = C * own + self._Q  # (n_directions, n_directions, n_outputs)
        penalty = np.einsum("ik,ijk,jk->k", weights, self._Q, weights) / 2
        penalty += (self._b * weights).sum(axis=0) + self._c
        if coupled:
            penalty = penalty.sum(keepdims=True)
        objective = point.objective if reuse else C * loss + penalty - problem.padding_loss
        if not coupled:
            return Derivatives(objective, gradient.T, hessian.transpose(2, 0, 1))
        n_directions, n_outputs = weights.shape
        m = n_directions * n_outputs
        diagonal = np.einsum("ijc,cd->icjd", hessian, np.eye(n_outputs)).reshape(m, m)
        return Derivatives(
            objective, gradient.reshape(1, m), (diagonal - C * coupling)[None]
        )

    def _sum_samples(self, weights: np.ndarray, *, reuse: bool) -> list[Any]:
        """Sum the loss and its derivatives by the weights over all samples.

        Returns:
            The loss, (n_problems,); its gradient, (n_directions, n_outputs); the part of
            its Hessian within each output, (n_directions, n_directions, n_outputs); and
            what a softmax subtracts from all of it, (m, m).
        """
        problem, point = self._problem, self._point
        w = weights.astype(point.scores.dtype)[:, None, :, None]

        def chunk(first: int, end: int) -> tuple[Any, ...]:
            blocks = slice(first, end)
            D = [scores[blocks] for scores in self._direction_scores]
            Y = problem.targets[blocks]
            loss: Any = np.zeros((1, 1, 1))
            if reuse:
                R = point.residuals[blocks]
                curvature = problem.loss.curvature(R, Y)
            else:
                Z = point.scores[blocks] + sum(c * d for c, d in zip(w, D, strict=True))
                loss, R, curvature = problem.loss.evaluate(Z, Y)
                self.scores[blocks], self.residuals[blocks] = Z, R
            slope = np.stack([(R * d).sum(axis=(0, 2)) for d in D])
            T = [curvature * d for d in D]
            own = np.stack([[(t * d).sum(axis=(0, 2)) for d in D] for t in T])
            coupling: Any = 0.0
            if problem.loss.coupled:
                stacked = np.concatenate(T, axis=1)
                products = np.matmul(stacked, stacked.transpose(0, 2, 1))
                coupling = products.sum(0, dtype=float)
            loss = loss.sum(axis=(0, 2), dtype=float)
            return loss, slope.astype(float), own.astype(float), coupling

        return sum_tuples(problem.X.map_chunks(chunk))


def _newton_step(at: Derivatives) -> tuple[np.ndarray, np.ndarray]:
    """Return -H⁻¹g, (n_problems, m), and the Newton decrements gᵀH⁻¹g, (n_problems,)."""
    diagonal = np.diagonal(at.hessian, axis1=1, axis2=2)
    damping = (DAMPING * diagonal + 1e-30)[:, None, :]
    damped = at.hessian + np.eye(at.hessian.shape[1]) * damping
    step = -np.linalg.solve(damped, at.gradient[:, :, None])[:, :, 0]
    return step, -(at.gradient * step).sum(axis=1)
