"""L2-regularised logistic regression, rounded to a grid.

The objective is scikit-learn's, on standardised columns, with an unpenalised intercept:

    f(W) = C · Σ log-loss + ½‖W‖²

One iteration is a pass over the data: the scores of a direction, and a gradient or a
product with the Hessian. All classes share each pass. There are three phases:

1. L-BFGS, preconditioned by 0.05 C XᵀX + I, until an iteration gains little.
2. Newton's method, preconditioned by Hessians of sampled rows, where f is minimised over
   the plane of the new direction and the step before, as conjugate gradients do.
3. Newton's method with the gradient in float64 and conjugate gradients in float32, until
   the coefficients, rounded to a grid, do not depend on the processor (`canonical`), or the
   gradient is as small as its own rounding.

docs/solver.md explains the method, proves the bound and names the sources.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from threadpoolctl import threadpool_limits

from digits.grid import exact_step, is_settled, round_to
from digits.parallel import available_threads
from digits.solvers.canonical import MOST_MOVE, grid_step
from digits.solvers.estimator import Estimator
from digits.solvers.hessian_sampling import HessianSampler
from digits.solvers.line_search import minimize
from digits.solvers.losses import LogisticLoss, SoftmaxLoss
from digits.solvers.preconditioner import (
    BlockDiagonal,
    Preconditioner,
    SharedBlock,
    cholesky,
)
from digits.solvers.problem import LogisticProblem, Point
from digits.solvers.rows import rows_of
from digits.solvers.standardized import StandardizedMatrix

log = logging.getLogger(__name__)

# Phase 1
LBFGS_MEMORY = 30  # updates that are kept
MIN_COSINE = 1e-6  # of a step and the change of the gradient, for an update to be used
MEAN_CURVATURE = 0.05  # stands for p(1 - p), the same for all samples and classes
PHASE2_GAIN = 1e-4  # relative decrease of f in an iteration, below which phase 2 begins
PHASE1_ITERATIONS = 40  # after which it begins in any case

# Phase 2
STALE_DECREMENT = 0.7  # Hessians are replaced if the Newton decrement falls by less
INTERCEPT_RIDGE = 1e-3  # times C: added to the curvature of the intercept, which is not
# penalised and may have hardly any curvature

STALL_ITERATIONS = 8  # of float32 without progress, after which phase 3 begins

# Phase 3
POLISH_GAP = 1e-4  # the bound on the relative gap at which it begins
RESIDUAL = 1e-8  # squared, relative: to this a Newton equation is solved in float32,
FORCING = 10  # or to this times the Newton decrement relative to f,
ROUGHEST = 0.01  # but at least to this
CG_ITERATIONS = 40  # at most, of one Newton step
UNSEEN = 1e-9  # Newton decrement relative to f, up to which the whole step is taken: f
# decreases by hardly more than its rounding
SAME_OBJECTIVE = 1e-10  # relative decrease of f, below which a step is no progress
ROUNDING_STEPS = 2  # Newton steps without progress, after which it ends in any case
ROUNDING = 1e-15  # of an objective, relative
TINY = 1e-300  # keeps a division finite

Callback = Callable[[int, np.ndarray, float], None]


@dataclass
class LogisticRegression(Estimator):
    """Logistic regression of two classes, of each against the rest, or multinomial.

    Attributes:
        C: Inverse strength of the penalty, > 0.
        multi_class: "one_vs_rest" or "multinomial"; two classes are one problem either
            way.
        tol: The most that (f - f*) / f* may be after rounding, for each problem; at most
            1e-8 is used.
        max_iter: Most iterations; a warning is logged if they do not suffice.
        n_threads: Number of threads, by default as many as there are processors.
        client: A `distributed.Client`, on whose workers the rows are; None: here. The
            result has the same bytes.
        callback: Called after each iteration with its number (from 1), the objectives
            (n_problems,) and the largest bound on the relative gap.
        classes_: After `fit`, the labels in ascending order.
        n_iter_: After `fit`, the number of iterations.
        objective_: After `fit`, f of the rounded coefficients: (n_outputs,), or (1,) if
            multinomial.
    """

    C: float = 1.0
    multi_class: Literal["one_vs_rest", "multinomial"] = "multinomial"
    tol: float = MOST_MOVE
    max_iter: int = 1000
    n_threads: int | None = None
    client: Any = None
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
        softmax = self.multi_class == "multinomial" and len(classes) > 2  # noqa: PLR2004
        loss = SoftmaxLoss() if softmax else LogisticLoss()
        with (
            ThreadPoolExecutor(self.n_threads or available_threads()) as pool,
            threadpool_limits(1, "blas"),
            np.errstate(over="ignore", under="ignore"),  # a probability may be 0 or 1
        ):
            rows = rows_of(X, index, pool, self.client)
            matrix = StandardizedMatrix(rows, is_passed_often=True)
            problem = LogisticProblem(matrix, len(classes), loss, self.C)
            optimizer = _LogisticOptimizer(problem, self.tol, self.max_iter)
            self.n_iter_, (coef, objective) = optimizer.run(self.callback)
        self.classes_ = classes
        columns = matrix.columns
        self.coef_, self.intercept_ = matrix.to_full_coef(coef)
        self.mean_, self.scale_ = columns.mean, columns.scale
        self.objective_ = objective
        self.gap_ = float(optimizer.gap_of(objective).max())
        settled = bool(optimizer.settled().all())
        self.is_canonical_ = columns.is_bytes and settled
        if self.gap_ > max(self.tol, MOST_MOVE) or not settled:
            log.warning(
                "not at the optimum after %d iterations (bound on the relative gap %.1e), "
                "so another processor may give other coefficients; %s",
                self.n_iter_,
                self.gap_,
                "raise max_iter"
                if self.n_iter_ == self.max_iter
                else "float64 gets no nearer: set a smaller C"
                + (", or a larger tol" if self.tol < MOST_MOVE else ""),
            )
        return self


class _LogisticOptimizer:
    """The state of a fit.

    Args:
        problem: The objective.
        tol: The most that rounding may move f, relative.
        max_iter: Most iterations.

    Attributes:
        problem, max_iter: As given.
        most_move: The most that rounding may move f, relative.
        point: Where the optimiser is.
        gap: Bounds on (f - f*) / f*, (n_problems,).
        last_step: The last step, (n_outputs, n_columns); None where the segments do not
            keep its scores.
        dtype: Type of the passes over the data, float32 in phases 1 and 2.
        preconditioner: An approximate Hessian.
        history: Updates of L-BFGS: of phase 1, until the first sampled Hessian; in phase 3,
            directions of conjugate gradients and their products with the Hessian.
        decrement: Newton decrements relative to f, (n_problems,), before the last
            iteration of phase 2; infinite before that.
        ridge: Hessian of the penalty, (n_columns, n_columns).
        sampler: Samples Hessians.
        best: The point with the smallest error of each problem, in phase 3; its gradient
            is not used.
        error: The bounds on ‖w - w*‖ there, (n_problems,).
        refinement: By what the step of each grid was multiplied, (n_problems,), because
            rounding moved f by too much.
        rounded: The best coefficients, rounded, and f there.
    """

    def __init__(self, problem: LogisticProblem, tol: float, max_iter: int) -> None:
        self.problem, self.max_iter = problem, max_iter
        self.most_move = min(tol, MOST_MOVE)
        self.dtype: type = np.float32
        self.point = problem.origin()
        n_problems = len(self.point.objective)
        self.gap = np.full(n_problems, np.inf)
        self.last_step: np.ndarray | None = None
        penalty = np.where(problem.penalty_mask == 1, 1, INTERCEPT_RIDGE * problem.C)
        self.ridge = np.diag(penalty)
        hessian = MEAN_CURVATURE * problem.C * problem.X.gram() + self.ridge
        self.preconditioner: Preconditioner = SharedBlock(cholesky(hessian))
        self.history = _LbfgsHistory(problem)
        self.sampler = HessianSampler(problem)
        self.decrement = np.full(n_problems, np.inf)
        self.best = self.point
        self.error = np.full(n_problems, np.inf)
        self.refinement = np.ones(n_problems)
        self.rounded: tuple[np.ndarray, np.ndarray] | None = None

    def run(self, callback: Callback | None) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        """Iterate through all phases.

        Returns:
            The number of iterations; the rounded coefficients, (n_outputs, n_columns), and
            f there, (n_problems,).
        """
        iteration = 0
        phases = chain(self._lbfgs(), self._newton(), self._polish())
        for iteration, _ in zip(range(1, self.max_iter + 1), phases, strict=False):
            if callback:
                callback(iteration, self.point.objective.copy(), float(self.gap.max()))
        if self.dtype is not float:
            self._switch_to_float64()
        if self.rounded is None or not self.settled().all():
            self.rounded = self._round()
        return iteration, self.rounded

    def gap_of(self, objective: np.ndarray) -> np.ndarray:
        """Bound (f - f*) / f* where f is `objective`, (n_problems,)."""
        lowest = self.best.objective - self.error**2 / 2
        gap = np.maximum(objective - lowest, 0) + ROUNDING * objective
        return np.divide(gap, lowest, out=np.full_like(gap, np.inf), where=lowest > 0)

    def settled(self) -> np.ndarray:
        """Return whether no coefficient is too close to a rounding boundary.

        Returns:
            (n_problems,) bool.
        """
        coef = self.best.coef.reshape(len(self.error), -1)
        parts = zip(coef, self._steps(), 2 * self.error, strict=True)
        return np.array([is_settled(*part) for part in parts])

    def _round(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the best point on the grid of each problem; refine grids if needed.

        Returns:
            The coefficients and f there.
        """
        most = (1 + self.most_move + ROUNDING) * self.best.objective
        finest = exact_step(np.abs(self.best.coef).max())
        while True:
            steps = self._steps()
            of_outputs = np.broadcast_to(steps, self.problem.n_outputs)[:, None]
            coef = round_to(self.best.coef, of_outputs)
            objective = self.problem.objective(coef)
            too_high = (objective > most) & (steps > finest)
            if not too_high.any() or not np.isfinite(self.error).all():
                return coef, objective
            self.refinement = np.where(too_high, self.refinement / 2, self.refinement)

    def _steps(self) -> np.ndarray:
        """Return the step of each problem's grid, (n_problems,)."""
        n_columns = self.problem.X.n_columns
        trace = self.best.intercept_curvature * n_columns + (n_columns - 1)
        if self.problem.loss.coupled:
            trace = trace.sum(keepdims=True)
        most_moves = self.most_move * self.best.objective
        steps = [grid_step(*pair) for pair in zip(most_moves, trace, strict=True)]
        return np.maximum(self.refinement * steps, exact_step(np.abs(self.best.coef).max()))

    def _lbfgs(self) -> Iterator[None]:
        """Run phase 1."""
        for _ in range(PHASE1_ITERATIONS):
            before = self.point
            step = self._line_search([self._search_direction()])
            self.history.append(step, self.point.gradient - before.gradient)
            yield
            gain = (before.objective - self.point.objective).sum()
            if gain < PHASE2_GAIN * self.point.objective.sum():
                break

    def _newton(self) -> Iterator[None]:
        """Run phase 2."""
        lowest, idle = np.inf, 0
        while self.gap.max() > POLISH_GAP and idle < STALL_ITERATIONS:
            self._refresh_preconditioner()
            directions = [self._search_direction()]
            if self.last_step is not None:
                directions.append(self.last_step)
            self._line_search(directions)
            yield
            gradient = self.point.gradient
            squared_norm = self.problem.dot(gradient, gradient).ravel()
            largest = float((squared_norm / self.point.objective).max())
            idle = 0 if largest < lowest / 2 else idle + 1
            lowest = largest if idle == 0 else lowest

    def _polish(self) -> Iterator[None]:
        """Run phase 3."""
        self._switch_to_float64()
        every = np.ones(len(self.error), bool)
        self.sampler.double_rows()  # M stays for many iterations from here on
        self._sample_preconditioner(every)
        dtype: type = np.float32
        idle = 0
        while idle < ROUNDING_STEPS and not self._is_finished():
            unfinished = ~self.settled()
            error, objective = self.error, self.point.objective
            yield from self._newton_step(dtype)
            self._keep_best()
            better = self.error < error / 2
            better |= self.point.objective < (1 - SAME_OBJECTIVE) * objective
            if not (better & unfinished).any():
                self._sample_preconditioner(every)
                idle += dtype is float
                dtype = float

    def _is_finished(self) -> bool:
        """Return whether the coefficients, rounded, are those of every processor."""
        if self.settled().all():
            self.rounded = self._round()
        return bool(self.settled().all())

    def _newton_step(self, dtype: type) -> Iterator[None]:
        """Solve a Newton equation by conjugate gradients, and go to the lowest point.

        Args:
            dtype: Type of the products with the Hessian.
        """
        problem = self.problem
        solution = np.zeros_like(self.point.gradient)
        residual = -self.point.gradient
        direction = preconditioned = self._precondition(residual)
        product = problem.dot(residual, preconditioned)
        decrement = product / self.point.objective.reshape(product.shape)
        enough = np.clip(FORCING * decrement, RESIDUAL, ROUGHEST) * product
        products = []  # for the next preconditioner
        for _ in range(CG_ITERATIONS):
            image = problem.hessian_product(direction, dtype)
            slope = problem.dot(direction, image)
            unfinished = (product > enough) & (slope > 0)
            length = np.divide(product, slope, out=np.zeros_like(slope), where=unfinished)
            solution = solution + length * direction
            products.append((direction, image))
            residual = residual - length * image
            yield
            preconditioned = self._precondition(residual)
            last, product = product, problem.dot(residual, preconditioned)
            if not ((product > enough) & unfinished).any():
                break
            direction = preconditioned + product / np.maximum(last, TINY) * direction
        else:  # so many iterations take longer than a better preconditioner
            self._sample_preconditioner(np.ones(len(self.error), bool))
        for pair in products:
            self.history.append(*pair)
        if decrement.max() > UNSEEN:
            self._line_search([solution])
        else:
            self._go_to(self.point.coef + solution)

    def _keep_best(self) -> None:
        """Update the best point of each problem."""
        problem, point, best = self.problem, self.point, self.best
        gradient = point.gradient.copy()
        # 1-strong convexity says nothing on the intercept, whose curvature may be smaller
        gradient[:, -1] /= np.minimum(1, np.maximum(point.intercept_curvature, TINY))
        error = np.sqrt(problem.dot(gradient, gradient).ravel())
        better = error < self.error
        rows = np.broadcast_to(better, problem.n_outputs)
        self.best = Point(
            np.where(rows[:, None], point.coef, best.coef),
            np.where(better, point.objective, best.objective),
            best.gradient,
            np.where(rows, point.intercept_curvature, best.intercept_curvature),
        )
        self.error = np.where(better, error, self.error)

    def _search_direction(self) -> np.ndarray:
        """Return -H⁻¹ ∇f, where H is the preconditioner with the updates of L-BFGS."""
        v = self._precondition(self.point.gradient)
        return -v.astype(np.float32).astype(float)  # as a pass in float32 reads it

    def _precondition(self, vectors: np.ndarray) -> np.ndarray:
        """Return H⁻¹ times vectors, (n_outputs, n_columns)."""
        v = self.history.solve(vectors, self.preconditioner)
        return v - v.mean(axis=0) if self.problem.loss.coupled else v

    def _line_search(self, directions: Sequence[np.ndarray]) -> np.ndarray:
        """Go to the lowest point in the span of the directions; return the step."""
        problem, point = self.problem, self.point
        weights = minimize(problem, point, directions, self.dtype)
        step = np.einsum("jk,jkp->kp", weights, np.stack(directions))
        if problem.loss.coupled:  # the mean of all classes changes the penalty alone
            step -= step.mean(axis=0)
        self.point = problem.move(weights, point.coef + step)
        self.last_step = step if self.dtype is np.float32 else None
        self.gap = problem.relative_gap(self.point)
        return step

    def _refresh_preconditioner(self) -> None:
        """Sample new Hessians for the problems whose Newton decrement falls too slowly."""
        decrement = self._newton_decrement()
        stale = (decrement > STALE_DECREMENT * self.decrement) & (self.gap > POLISH_GAP)
        if stale.any():
            self._sample_preconditioner(stale)
            decrement = self._newton_decrement()
        self.decrement = decrement

    def _newton_decrement(self) -> np.ndarray:
        """Return ½ ∇fᵀ M⁻¹ ∇f / f of each problem, where M is the preconditioner."""
        g = self.point.gradient
        product = self.problem.dot(g, self.preconditioner.solve(g)).ravel()
        return product / 2 / self.point.objective

    def _sample_preconditioner(self, stale: np.ndarray) -> None:
        """Sample the Hessians of classes: the stale ones, or all of them.

        Args:
            stale: (n_problems,) bool.
        """
        n, pool = self.problem.n_outputs, self.problem.X.rows.pool
        current = self.preconditioner
        if isinstance(current, BlockDiagonal):
            factors = dict(enumerate(current.factors))
            classes = [int(c) for c in np.flatnonzero(np.broadcast_to(stale, n))]
        else:
            factors, classes = {}, list(range(n))
        if isinstance(current, SharedBlock):
            current = current.repeat(n, pool)
        grams = self.sampler.grams(classes, current)
        new = pool.map(lambda gram: cholesky(gram + self.ridge), grams)
        factors.update(zip(classes, new, strict=True))
        self.preconditioner = BlockDiagonal([factors[c] for c in range(n)], pool)
        self.history.clear()

    def _switch_to_float64(self) -> None:
        """Compute scores, gradient and error in float64."""
        self.dtype = float
        self._go_to(self.point.coef)
        self.last_step = None
        self._keep_best()

    def _go_to(self, coef: np.ndarray) -> None:
        """Go to these coefficients, in float64."""
        self.point = self.problem.go_to(coef)
        self.gap = self.problem.relative_gap(self.point)


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
        self._dot, self._mask = problem.dot, problem.penalty_mask
        self._updates: deque[_LbfgsUpdate] = deque(maxlen=LBFGS_MEMORY)

    def append(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step and the change of the gradient, (n_outputs, n_columns) each.

        An update of a problem that has converged may consist of rounding. The penalty makes
        f 1-strongly convex, so sᵀy is at least ‖s‖² without the intercept. Where it is not
        half of that, or hardly positive, the update changes nothing.
        """
        product = self._dot(step, change)
        squares = self._dot(step, step) * self._dot(change, change)
        least = self._dot(self._mask * step, step) / 2
        usable = product > np.maximum(least, MIN_COSINE * np.sqrt(squares))
        update = step * usable, change * usable, np.where(usable, product, 1)
        self._updates.append(_LbfgsUpdate(*update))

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
