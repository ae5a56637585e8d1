"""Exact minimisation in the span of a few directions, without a pass over the data.

Scores are linear in the coefficients. So if the scores of the directions are stored, the
objective on their span needs only the loss of each sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.solvers.problem import LogisticProblem, Point

NEWTON_STEPS = 8  # at most, of one search
BACKTRACKS = 20  # at most, of one Newton step; each divides its length by BACKTRACK
BACKTRACK = 3
# The share of the decrease so far that a further step may bring at most, if it is taken
# without evaluating its end. Newton's method then leaves about the square of it.
UNCHECKED = 0.15
NEGLIGIBLE = 1e-9  # the share of f that it may bring in any case
ROUNDING_32, ROUNDING_64 = 1e-7, 1e-14  # relative; an increase of f by less is rounding
DAMPING = 1e-9  # added to the diagonal of a Hessian, relative


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
    directions: Sequence[np.ndarray],
    dtype: type,
) -> np.ndarray:
    """Minimise f over `point` + Σ weights[j] · directions[j], by Newton's method.

    Each output has its own weights. The last Newton step is not evaluated: the pass that
    goes there does that.

    Args:
        problem: The objective f.
        point: Where the search begins.
        directions: One or two directions, (n_outputs, n_columns) each; the second is the
            last step.
        dtype: Type of the passes.

    Returns:
        The weights, (n_directions, n_outputs).
    """
    rounding = ROUNDING_32 if dtype == np.float32 else ROUNDING_64
    subspace = SubspaceObjective(problem, point, directions)
    weights = np.zeros((len(directions), problem.n_outputs))
    at = subspace.first(problem.look_along(directions[0], len(directions), dtype))
    start = at.objective
    for attempt in range(NEWTON_STEPS):
        step, decrement = _newton_step(at)
        newton = subspace.by_output(step)
        enough = np.maximum(
            UNCHECKED * (start - at.objective), NEGLIGIBLE * np.abs(at.objective)
        )
        if attempt and np.all(decrement <= enough):
            return weights + newton
        length = np.ones_like(start)
        highest = at.objective + rounding * np.abs(at.objective)
        for _ in range(BACKTRACKS):
            new = subspace.evaluate(weights + length * newton)
            worse = ~(new.objective <= highest)
            if not worse.any():
                break
            length = np.where(worse, length / BACKTRACK, length)
        weights, at = weights + length * newton, new
    return weights


class SubspaceObjective:
    """f on `point` + Σ weights[j] · directions[j], as a function of the weights.

    Args:
        problem: The objective f.
        point: Where all weights are 0.
        directions: The directions, (n_outputs, n_columns) each.
    """

    def __init__(
        self, problem: LogisticProblem, point: Point, directions: Sequence[np.ndarray]
    ) -> None:
        self._problem, self._point = problem, point
        self._shape = (len(directions), problem.n_outputs)
        P, W, D = problem.penalty_mask, point.coef, directions
        # The penalty is ½ wᵀ Q w + bᵀ w + c of the weights w of each output. c and the loss
        # of the padded rows are in the point's objective.
        self._Q = np.stack([[(P * u * v).sum(axis=1) for v in D] for u in D])
        self._b = np.stack([(P * W * u).sum(axis=1) for u in D])

    def by_output(self, values: np.ndarray) -> np.ndarray:
        """Reshape (n_problems, m) to (n_directions, n_outputs)."""
        return values.reshape(self._shape) if self._problem.loss.coupled else values.T

    def first(self, sums: list[Any]) -> Derivatives:
        """Return the derivatives where all weights are 0.

        Args:
            sums: As `look_along` returns them.
        """
        weights = np.zeros(self._shape)
        return self._derivatives(weights, self._point.objective, *sums)

    def evaluate(self, weights: np.ndarray) -> Derivatives:
        """Evaluate f and its derivatives; weights: (n_directions, n_outputs)."""
        loss, *sums = self._problem.derivatives(weights)
        step = np.einsum("ik,ijk,jk->k", weights, self._Q, weights) / 2
        step += (self._b * weights).sum(axis=0)
        if self._problem.loss.coupled:
            step = step.sum(keepdims=True)
        objective = self._problem.objective_of(loss, self._point.coef) + step
        return self._derivatives(weights, objective, *sums)

    def _derivatives(
        self,
        weights: np.ndarray,
        objective: np.ndarray,
        slope: np.ndarray,
        own: np.ndarray,
        coupling: np.ndarray,
    ) -> Derivatives:
        """Add the derivatives of the penalty to those of the loss."""
        C = self._problem.C
        gradient = C * slope + self._b + np.einsum("ijk,jk->ik", self._Q, weights)
        hessian = C * own + self._Q  # (n_directions, n_directions, n_outputs)
        if not self._problem.loss.coupled:
            return Derivatives(objective, gradient.T, hessian.transpose(2, 0, 1))
        m = gradient.size
        diagonal = np.einsum("ijc,cd->icjd", hessian, np.eye(self._shape[1]))
        hessian = diagonal.reshape(m, m) - C * coupling
        return Derivatives(objective, gradient.reshape(1, m), hessian[None])


def _newton_step(at: Derivatives) -> tuple[np.ndarray, np.ndarray]:
    """Return -H⁻¹g, (n_problems, m), and the Newton decrements gᵀH⁻¹g, (n_problems,)."""
    diagonal = np.diagonal(at.hessian, axis1=1, axis2=2)
    damping = (DAMPING * diagonal + 1e-30)[:, None, :]
    damped = at.hessian + np.eye(at.hessian.shape[1]) * damping
    step = -np.linalg.solve(damped, at.gradient[:, :, None])[:, :, 0]
    return step, -(at.gradient * step).sum(axis=1)
