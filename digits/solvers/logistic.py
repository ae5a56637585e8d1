"""L2-regularised logistic regression, trained to a proven distance from the optimum.

The objective is scikit-learn's, on standardised columns, with an unpenalised intercept:

    f(W) = C · Σ log-loss + ½‖W‖²

One iteration is a forward pass over the data (the scores of a direction), a line search
without a pass (scores are linear in the coefficients), and a backward pass (the
gradient). All classes share each pass. There are two phases:

1. L-BFGS, preconditioned by 0.05 C XᵀX + I, until an iteration gains little.
2. Newton's method, preconditioned by Hessians of sampled rows, where f is minimised over
   the plane of the new direction and the step before, as conjugate gradients do.

The fit ends when ½‖∇f‖², which bounds f - f*, is at most `tol` of f*, in float64.

docs/solver.md explains the method, proves the bound and names the sources.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from threadpoolctl import threadpool_limits

from digits.parallel import available_threads
from digits.solvers.estimator import Estimator
from digits.solvers.hessian_sampling import HessianSampler
from digits.solvers.line_search import minimize
from digits.solvers.losses import LogisticLoss, SoftmaxLoss
from digits.solvers.preconditioner import (
    BlockDiagonal,
    CoupledSoftmax,
    Preconditioner,
    SharedBlock,
    cholesky,
)
from digits.solvers.problem import Direction, LogisticProblem
from digits.solvers.standardized import StandardizedMatrix

log = logging.getLogger(__name__)

# Phase 1
LBFGS_MEMORY = 30  # updates that are kept
MEAN_CURVATURE = 0.05  # stands for p(1 - p), the same for all samples and classes
PHASE2_GAIN = 1e-4  # relative decrease of f in an iteration, below which phase 2 begins
PHASE1_ITERATIONS = 40  # after which it begins in any case

# Phase 2
STALE_DECREMENT = 0.7  # Hessians are replaced if the Newton decrement falls by less
COUPLED_BELOW = 3e-5  # Newton decrement, relative to f, from which on classes are coupled
COUPLED_COEFS = 8000  # coefficients, at most, for that: the factor has 130 MB
COUPLED_CURVATURES = 40_000_000  # rows times pairs of classes, at most: 320 MB
INTERCEPT_RIDGE = 1e-3  # times C: added to the curvature of the intercept, which is not
# penalised and may have hardly any curvature

# The end
STALL_ITERATIONS = 12  # of float32 without progress, after which passes are in float64
GIVE_UP_ITERATIONS = 100  # of float64 without progress, after which the fit ends

Callback = Callable[[int, np.ndarray, float], None]


@dataclass
class LogisticRegression(Estimator):
    """Logistic regression of two classes, of each against the rest, or multinomial.

    Attributes:
        C: Inverse strength of the penalty, > 0.
        multi_class: "one_vs_rest" or "multinomial"; two classes are one problem either
            way.
        tol: Stop when the proven bound on (f - f*) / f* is at most this, for each problem.
        max_iter: Most iterations; a warning is logged if they do not suffice.
        n_threads: Number of threads, by default as many as there are processors.
        callback: Called after each iteration with its number (from 1), the objectives
            (n_problems,) and the largest bound on the relative gap.
        classes_: After `fit`, the labels in ascending order.
        n_iter_: After `fit`, the number of iterations.
        gap_: After `fit`, the bound that was reached, the largest of all problems.
        objective_: After `fit`, f: (n_outputs,), or (1,) if multinomial.
    """

    C: float = 1.0
    multi_class: Literal["one_vs_rest", "multinomial"] = "multinomial"
    tol: float = 1e-6
    max_iter: int = 1000
    n_threads: int | None = None
    callback: Callback | None = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the coefficients to the columns of X, which are standardised here.

        Args:
            X: (n_samples, ...) uint8 or float, may be memory-mapped.
            y: (n_samples,), labels.

        Raises:
            ValueError: If y has one class only.
        """
        classes, index = np.unique(y, return_inverse=True)
        if len(classes) < 2:  # noqa: PLR2004
            raise ValueError("y has only one class; at least two are needed")
        member = index[:, None] == np.arange(len(classes))
        if len(classes) == 2:  # noqa: PLR2004
            member = member[:, 1:]
        softmax = self.multi_class == "multinomial" and len(classes) > 2  # noqa: PLR2004
        loss = SoftmaxLoss() if softmax else LogisticLoss()
        n_threads = self.n_threads or available_threads()
        with (
            ThreadPoolExecutor(n_threads) as pool,
            threadpool_limits(1, "blas"),
            np.errstate(over="ignore", under="ignore"),  # a probability may be 0 or 1
        ):
            matrix = StandardizedMatrix(X, pool, n_threads)
            problem = LogisticProblem(matrix, member, loss, self.C)
            optimizer = _LogisticOptimizer(problem, self.tol, self.max_iter)
            self.n_iter_ = optimizer.run(self.callback)
        self.classes_ = classes
        self.coef_, self.intercept_ = matrix.to_full_coef(optimizer.point.coef)
        self.mean_, self.scale_ = matrix.mean, matrix.scale
        self.objective_ = optimizer.point.objective
        self.gap_ = float(optimizer.gap.max())
        if self.gap_ > self.tol:
            log.warning(
                "not at the optimum after %d iterations (bound on the relative gap %.1e, "
                "tol %.1e); %s",
                self.n_iter_,
                self.gap_,
                self.tol,
                "raise max_iter"
                if self.n_iter_ == self.max_iter
                else "float64 gets no nearer: set a larger tol, or a smaller C",
            )
        return self


class _LogisticOptimizer:
    """The state of a fit.

    Args:
        problem: The objective.
        tol: Largest bound on the relative gap.
        max_iter: Most iterations.

    Attributes:
        problem, tol, max_iter: As given.
        point: Where the optimiser is.
        gradient: ∇f there, (n_outputs, n_columns) float64.
        gap: Bounds on (f - f*) / f*, (n_problems,).
        last_step: The last step; None at the start, and where its scores are not known in
            the type of the passes.
        phase2: Whether phase 2 has begun.
        dtype: Type of the passes over the data, float32 at first.
        recomputed: Whether the point was ever recomputed in float64.
        preconditioner: An approximate Hessian.
        history: Updates of L-BFGS; they are empty after the first sampled Hessian.
        decrement: Newton decrements relative to f, (n_problems,), before the last
            iteration of phase 2; infinite before that.
        ridge: Hessian of the penalty, (n_columns, n_columns).
        sampler: Samples Hessians.
        progress: Tells whether the gradient still falls.
    """

    def __init__(self, problem: LogisticProblem, tol: float, max_iter: int) -> None:
        self.problem, self.tol, self.max_iter = problem, tol, max_iter
        self.dtype: type = np.float32
        self.point = problem.origin()
        self.gradient = problem.gradient(self.point, self.dtype)
        n_problems = len(self.point.objective)
        self.gap = np.full(n_problems, np.inf)
        self.last_step: Direction | None = None
        self.phase2 = False
        self.recomputed = False
        penalty = np.where(problem.penalty_mask == 1, 1, INTERCEPT_RIDGE * problem.C)
        self.ridge = np.diag(penalty)
        hessian = MEAN_CURVATURE * problem.C * problem.X.gram() + self.ridge
        self.preconditioner: Preconditioner = SharedBlock(cholesky(hessian))
        self.history = _LbfgsHistory(problem)
        self.sampler = HessianSampler(problem)
        self.decrement = np.full(n_problems, np.inf)
        self.progress = _Progress()

    def run(self, callback: Callback | None) -> int:
        """Iterate until each gap is at most `tol`; return the number of iterations."""
        for iteration in range(1, self.max_iter + 1):
            if self.phase2:
                self._newton_iteration()
            else:
                gain = self._lbfgs_iteration()
                self.phase2 = gain < PHASE2_GAIN or iteration >= PHASE1_ITERATIONS
            finished = self._check_convergence(iteration)
            if callback:
                objective, gap = self.point.objective.copy(), float(self.gap.max())
                callback(iteration, objective, gap)
            if finished:
                break
        return iteration

    def _lbfgs_iteration(self) -> float:
        """Do an iteration of phase 1; return the relative decrease of f."""
        before, old_gradient = self.point.objective, self.gradient
        step = self._line_search([self._search_direction()])
        self.history.append(step.coef, self.gradient - old_gradient)
        return (before - self.point.objective).sum() / self.point.objective.sum()

    def _newton_iteration(self) -> None:
        """Do an iteration of phase 2."""
        self._refresh_preconditioner()
        directions = [self._search_direction()]
        if self.last_step:
            directions.append(self.last_step)
        self._line_search(directions)

    def _search_direction(self) -> Direction:
        """Return -H⁻¹ ∇f, where H is the preconditioner with the updates of L-BFGS."""
        v = self.history.solve(self.gradient, self.preconditioner)
        if self.problem.loss.coupled:
            v = v - v.mean(axis=0)
        coef = -v.astype(np.float32).astype(float)  # as a pass in float32 reads it
        return Direction(coef, self.problem.X.scores(coef, self.dtype))

    def _line_search(self, directions: Sequence[Direction]) -> Direction:
        """Go to the lowest point in the span of the directions; return the step."""
        problem, point = self.problem, self.point
        found = minimize(problem, point, directions)
        coef = sum(
            w[:, None] * direction.coef
            for w, direction in zip(found.weights, directions, strict=True)
        )
        scores = sum(
            w.astype(self.dtype)[:, None] * direction.scores
            for w, direction in zip(found.weights, directions, strict=True)
        )
        point.scores, point.residuals = found.scores, found.residuals
        point.objective = found.objective
        step = Direction(coef, scores)
        if problem.loss.coupled:
            self._center_classes(step)
        point.coef = point.coef + step.coef
        self.last_step = step
        self.gradient = problem.gradient(point, self.dtype)
        return step

    def _center_classes(self, step: Direction) -> None:
        """Subtract the mean of all classes, which changes the penalty alone."""
        problem, point = self.problem, self.point
        mean = problem.penalty_mask * (point.coef + step.coef).mean(axis=0)
        point.objective = point.objective - problem.n_outputs / 2 * (mean**2).sum()
        step.coef -= step.coef.mean(axis=0)
        step.scores -= step.scores.mean(axis=1, keepdims=True)
        point.scores -= point.scores.mean(axis=1, keepdims=True)

    def _refresh_preconditioner(self) -> None:
        """Sample new Hessians for the problems whose Newton decrement falls too slowly."""
        decrement = self._newton_decrement()
        stale = (decrement > STALE_DECREMENT * self.decrement) & (self.gap > self.tol)
        if stale.any():
            if self._couple_classes(decrement):
                self.preconditioner = self._sample_coupled()
            else:
                self.preconditioner = self._sample_block_diagonal(stale)
            self.history.clear()
            decrement = self._newton_decrement()
        self.decrement = decrement

    def _newton_decrement(self) -> np.ndarray:
        """Return ½ ∇fᵀ M⁻¹ ∇f / f of each problem, where M is the preconditioner."""
        g = self.gradient
        product = self.problem.dot(g, self.preconditioner.solve(g)).ravel()
        return product / 2 / self.point.objective

    def _couple_classes(self, decrement: np.ndarray) -> bool:
        """Return whether the Hessian of all classes together is worth its time."""
        X, n = self.problem.X, self.problem.n_outputs
        return bool(
            self.problem.loss.coupled
            and decrement.max() < COUPLED_BELOW
            and (n - 1) * X.n_columns <= COUPLED_COEFS
            and n * (n - 1) // 2 * X.n_samples <= COUPLED_CURVATURES
        )

    def _sample_coupled(self) -> CoupledSoftmax:
        """Sample the Hessian of a softmax, all classes together."""
        n, pool = self.problem.n_outputs, self.problem.X.pool
        pairs = [(c, d) for c in range(n) for d in range(c)]
        grams = self.sampler.pair_grams(pairs, self.point, self.preconditioner)
        by_pair = dict(zip(pairs, grams, strict=True))
        return CoupledSoftmax(by_pair, n, self.ridge, pool)

    def _sample_block_diagonal(self, stale: np.ndarray) -> BlockDiagonal:
        """Sample the Hessians of single classes: the stale ones, or all of them.

        Args:
            stale: (n_problems,) bool.
        """
        n, pool = self.problem.n_outputs, self.problem.X.pool
        current = self.preconditioner
        if isinstance(current, BlockDiagonal):
            factors = dict(enumerate(current.factors))
            classes = [int(c) for c in np.flatnonzero(np.broadcast_to(stale, n))]
        else:
            factors, classes = {}, list(range(n))
        if isinstance(current, SharedBlock):
            current = current.repeat(n)
        grams = self.sampler.class_grams(classes, self.point, current)
        new = pool.map(lambda gram: cholesky(gram + self.ridge), grams)
        factors.update(zip(classes, new, strict=True))
        return BlockDiagonal([factors[c] for c in range(n)])

    def _check_convergence(self, iteration: int) -> bool:
        """Bound the gap, in float64 where it matters; return whether to stop."""
        self.gap = self.problem.relative_gap(self.point.objective, self.gradient)
        squared_norm = self.problem.squared_norm(self.gradient)
        relative = float((squared_norm / self.point.objective).max())
        self.progress.update(iteration, relative, restart=not self.phase2)
        idle = iteration - self.progress.iteration
        if self.dtype is float:
            stalled, exhausted = False, idle >= GIVE_UP_ITERATIONS
        else:
            stalled, exhausted = idle >= STALL_ITERATIONS, False
        last = exhausted or iteration == self.max_iter
        if self.gap.max() <= self.tol or stalled or last:
            self._recompute_in_float64()
            if stalled or self.recomputed:  # float32 has not sufficed
                self.dtype = float
                self.progress.iteration = iteration
            self.recomputed = True
            self.point.scores = self.point.scores.astype(self.dtype)
            self.point.residuals = self.point.residuals.astype(self.dtype)
        return bool(self.gap.max() <= self.tol) or exhausted

    def _recompute_in_float64(self) -> None:
        """Find the best intercept; compute scores, gradient and gap in float64."""
        problem, point = self.problem, self.point
        point.scores = problem.X.scores(point.coef, float)
        coef = np.zeros_like(point.coef)
        coef[:, -1] = 1
        ones = np.ones((problem.X.n_samples, problem.n_outputs))
        intercept = Direction(coef, problem.X.to_blocks(ones))
        found = minimize(problem, point, [intercept], reuse=False)
        point.scores, point.residuals = found.scores, found.residuals
        point.objective = found.objective
        point.coef = point.coef + found.weights[0][:, None] * intercept.coef
        self.last_step = None
        self.gradient = problem.gradient(point, float)
        self.gap = problem.relative_gap(point.objective, self.gradient)


@dataclass
class _Progress:
    """The last iteration in which the gradient was less than half the last such one.

    Attributes:
        lowest: The squared norm of the gradient then, relative to f.
        iteration: Its number.
    """

    lowest: float = np.inf
    iteration: int = 0

    def update(self, iteration: int, squared_norm: float, *, restart: bool) -> None:
        """Note an iteration if the gradient has fallen enough, or in any case."""
        if restart or squared_norm < self.lowest / 2:
            self.lowest, self.iteration = squared_norm, iteration


class _LbfgsUpdate(NamedTuple):
    """A step s, the change y of the gradient, and sᵀy of each problem."""

    step: np.ndarray
    change: np.ndarray
    product: np.ndarray


class _LbfgsHistory:
    """The last updates of L-BFGS, for each problem of its own.

    Args:
        problem: The objective, for its inner product.
    """

    def __init__(self, problem: LogisticProblem) -> None:
        self._dot = problem.dot
        self._updates: deque[_LbfgsUpdate] = deque(maxlen=LBFGS_MEMORY)

    def append(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step and the change of the gradient, (n_outputs, n_columns) each."""
        product = np.maximum(self._dot(step, change), 1e-30)
        self._updates.append(_LbfgsUpdate(step, change, product))

    def clear(self) -> None:
        """Forget all updates."""
        self._updates.clear()

    def solve(self, gradient: np.ndarray, preconditioner: Preconditioner) -> np.ndarray:
        """Return H⁻¹ gradient by the two-loop recursion around the preconditioner."""
        v, weights = gradient, []
        for s, y, sy in reversed(self._updates):
            weights.append(self._dot(s, v) / sy)
            v = v - weights[-1] * y
        v = preconditioner.solve(v)
        for (s, y, sy), weight in zip(self._updates, reversed(weights), strict=True):
            v = v + (weight - self._dot(y, v) / sy) * s
        return v
