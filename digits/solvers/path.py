"""Cross-validated logistic regression for many values of C, all folds at once.

For each fold and each C, ascending, this minimises the objective of `logistic`

    f(W) = C · Σ log-loss + ½‖W‖²

over the images outside the fold, on columns standardised by these images, and scores the
images of the fold. The folds share each pass over the data. Three things make a path
faster than separate fits:

- The minimum changes smoothly with log C, so each fit begins where a line through the last
  two minima leads.
- L-BFGS learns the curvature from pairs of a step s and the change y of the gradient. The
  loss's part of y grows with C, and the penalty's is s itself: so the pairs of the last C
  are right for the next one as well, up to what the loss's curvature has changed.
- 0.05 C XᵀX + I, which preconditions L-BFGS, has the same eigenvectors for each C.

A fit ends when the Newton decrement says that f is about TOLERANCE / √n above its minimum,
relative to it (one-versus-rest: to the mean of the classes' minima). The standard error of
an accuracy falls with √n, and what a fit leaves out must stay below it. Everything is
computed in float64, but nothing is rounded to a grid, and many iterations amplify rounding
where C is large: scores may differ a little on another processor. docs/tuning.md has the
measured differences.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
from scipy import linalg
from threadpoolctl import threadpool_limits

from digits.parallel import available_threads, sum_tuples
from digits.solvers.losses import LogisticLoss, Loss, SoftmaxLoss

log = logging.getLogger(__name__)

TOLERANCE = 0.0075  # of the Newton decrement, relative to f, times √n_samples
MEAN_CURVATURE = 0.05  # stands for p(1 - p), the same for all samples and classes
MEMORY = 30  # pairs of L-BFGS that are kept
MAX_ITERATIONS = 1000  # of one C
SUFFICIENT = 1e-4  # share of the predicted decrease that a step must reach (Armijo)
MAX_HALVINGS = 30
ROUNDING = 1e-12  # the share of a column's mean square that may be rounding
BLOCK_ROWS = 500  # rows that are converted to float64 at once


class PathPoint(NamedTuple):
    """The models of all folds for one C.

    Attributes:
        C: Inverse strength of the penalty.
        previous: That of the point before; 0 if there is none.
        scores: (n_samples, n_outputs) float64, of each sample by the model of the fold in
            which it is held out; one output if there are two classes.
        state: (2 + 2 · n_pairs, n_folds, n_outputs, n_columns) float64, from which
            `logistic_path` goes on: this and the last minimum, and pairs of L-BFGS.
    """

    C: float
    previous: float
    scores: np.ndarray
    state: np.ndarray


def logistic_path(
    images: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    Cs: Sequence[float],
    multi_class: Literal["one_vs_rest", "multinomial"],
    *,
    after: PathPoint | None = None,
) -> Iterator[PathPoint]:
    """Score each image by a model that was fitted without its fold, for each C.

    Args:
        images: (n_samples, ...) uint8 or float, may be memory-mapped.
        labels: (n_samples,), of at least two classes, each in the training part of each
            fold.
        fold: (n_samples,), the number of the fold in which a sample is held out, from 0.
        Cs: Ascending, positive.
        multi_class: As in `LogisticRegression`.
        after: A point of the same path after which to go on; its scores are not used.

    Yields:
        The point of each C.
    """
    classes, index = np.unique(labels, return_inverse=True)
    member = index == np.arange(len(classes))[:, None]
    if len(classes) == 2:  # noqa: PLR2004
        member = member[1:]
    softmax = multi_class == "multinomial" and len(classes) > 2  # noqa: PLR2004
    loss = SoftmaxLoss() if softmax else LogisticLoss()
    with (
        ThreadPoolExecutor(available_threads()) as pool,
        threadpool_limits(1, "blas"),
        np.errstate(over="ignore", under="ignore"),  # a probability may be 0 or 1
    ):
        problem = _Folds(images.reshape(len(images), -1), loss, member, fold, pool)
        path = _Path(problem)
        if after:
            path.restore(after)
        for C in Cs:
            scores = path.minimize(C)
            yield PathPoint(C, path.previous, scores, path.state())


class _Evaluation(NamedTuple):
    """The loss at a point, without C and without the penalty.

    Attributes:
        loss: (n_folds, n_problems), summed over the samples.
        gradient: (n_folds, n_outputs, n_columns).
        scores: (n_samples, n_outputs), of the held-out samples.
    """

    loss: np.ndarray
    gradient: np.ndarray
    scores: np.ndarray


class _Folds:
    """The loss of all folds, with the standardised columns of each fold.

    Coefficients are (n_folds, n_outputs, n_columns), the last column being the intercept.

    Args:
        X: (n_samples, n_features).
        loss: The log-loss.
        member: (n_outputs, n_samples) bool, whether a sample is of a class.
        fold: (n_samples,).
        pool: Runs the blocks of rows.

    Attributes:
        loss: As given.
        shape: Of the coefficients.
        n_samples: Number of rows.
        n_train: (n_folds,), those outside of each fold.
        penalty_mask: (n_columns,), 0 for the intercept and 1 for the other columns.
        eigenvalues, eigenvectors: Of XᵀX, all samples, standardised.
    """

    def __init__(
        self,
        X: np.ndarray,
        loss: Loss,
        member: np.ndarray,
        fold: np.ndarray,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.loss, self._pool, self._fold = loss, pool, fold
        lowest, highest = X[0].copy(), X[0].copy()
        for rows in self._blocks(len(X)):
            lowest = np.minimum(lowest, X[rows].min(axis=0))
            highest = np.maximum(highest, X[rows].max(axis=0))
        self._X = np.ascontiguousarray(X[:, highest > lowest])
        self._Y = loss.targets(member)
        self._train = fold != np.arange(fold.max() + 1)[:, None]
        n_folds, n_columns = len(self._train), self._X.shape[1] + 1
        self.shape = (n_folds, len(member), n_columns)
        self.penalty_mask = np.append(np.ones(n_columns - 1), 0)
        self._standardize()

    def _blocks(self, n_samples: int) -> list[slice]:
        return [slice(i, i + BLOCK_ROWS) for i in range(0, n_samples, BLOCK_ROWS)]

    def _standardize(self) -> None:
        """Compute mean and scale of each fold, and the eigenvectors of XᵀX."""
        centre = self._X[: 2 * BLOCK_ROWS].mean(axis=0)  # so that no digits cancel

        def moments(rows: slice) -> tuple[np.ndarray, ...]:
            x = self._X[rows] - centre
            t = self._train[:, rows].astype(float)
            return t @ x, t @ (x * x), x.sum(axis=0), x.T @ x

        parts = self._pool.map(moments, self._blocks(len(self._X)))
        sums, squares, total, gram = sum_tuples(parts)
        self.n_samples, self.n_train = len(self._X), self._train.sum(axis=1)
        mean = sums / self.n_train[:, None]
        square = squares / self.n_train[:, None]
        variance = square - mean**2
        varies = variance > ROUNDING * square
        self._mean = (mean + centre)[:, None]
        scale = np.sqrt(np.where(varies, variance, np.inf))
        self._inverse_scale = (1 / scale)[:, None]  # 0 for a column that is constant
        gram -= np.outer(total, total) / len(self._X)
        deviation = np.sqrt(np.diag(gram) / len(self._X))
        gram /= np.outer(deviation, deviation)
        self.eigenvalues, self.eigenvectors = linalg.eigh(gram, overwrite_a=True)

    def evaluate(self, coef: np.ndarray) -> _Evaluation:
        """Return the loss of each fold's training part, and the scores of the others."""
        n_folds, n_outputs, _ = self.shape
        weights = coef[..., :-1] * self._inverse_scale
        offset = coef[..., -1:] - (weights * self._mean).sum(axis=2, keepdims=True)
        weights = weights.reshape(n_folds * n_outputs, -1)

        def block(rows: slice) -> tuple[np.ndarray, ...]:
            x = self._X[rows].astype(float)
            Z = (weights @ x.T).reshape(n_folds, n_outputs, -1) + offset
            held_out = Z[self._fold[rows], :, np.arange(len(x))]
            losses, R, _ = self.loss.evaluate(Z, self._Y[:, rows])
            train = self._train[:, None, rows]
            R *= train
            product = R.reshape(n_folds * n_outputs, -1) @ x
            return (losses * train).sum(axis=2), product, R.sum(axis=2), held_out

        scores = np.empty((len(self._X), n_outputs))
        loss: np.ndarray = np.zeros((n_folds, self.loss.n_problems(n_outputs)))
        product: np.ndarray = np.zeros(weights.shape)
        residual: np.ndarray = np.zeros((n_folds, n_outputs))
        blocks = self._blocks(len(self._X))
        for rows, part in zip(blocks, self._pool.map(block, blocks), strict=True):
            loss, product, residual = loss + part[0], product + part[1], residual + part[2]
            scores[rows] = part[3]
        product, residual = product.reshape(n_folds, n_outputs, -1), residual[..., None]
        gradient = (product - residual * self._mean) * self._inverse_scale
        return _Evaluation(loss, np.concatenate([gradient, residual], axis=2), scores)

    def dot(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the inner product in each problem, (n_folds, n_problems)."""
        products = np.einsum("fkp,fkp->fk", a, b)
        return products.sum(axis=1, keepdims=True) if self.loss.coupled else products


class _Pair(NamedTuple):
    """A step of L-BFGS and the change of the loss's gradient that it made, without C."""

    step: np.ndarray
    change: np.ndarray


class _Update(NamedTuple):
    """A pair for one C: step, change of the gradient of f, and their product."""

    step: np.ndarray
    change: np.ndarray
    product: np.ndarray


class _Path:
    """The minima along the path.

    Args:
        problem: The loss of all folds.

    Attributes:
        C: Of the current point; 0 at the origin.
        previous: Of the point before.
    """

    def __init__(self, problem: _Folds) -> None:
        self._problem = problem
        self._coef = np.zeros(problem.shape)
        self._last_coef = self._coef
        self.C = self.previous = 0.0
        self._pairs: list[_Pair] = []

    def state(self) -> np.ndarray:
        """Return the state of a `PathPoint`."""
        steps, changes = ([pair[i] for pair in self._pairs] for i in (0, 1))
        return np.stack([self._coef, self._last_coef, *steps, *changes])

    def restore(self, point: PathPoint) -> None:
        """Go to a point of the path."""
        self.previous, self.C = point.previous, point.C
        self._coef, self._last_coef = point.state[:2]
        steps, changes = np.split(point.state[2:], 2)
        self._pairs = [_Pair(*pair) for pair in zip(steps, changes, strict=True)]

    def minimize(self, C: float) -> np.ndarray:
        """Go to the minima for this C; return the scores of the held-out samples."""
        problem, penalty = self._problem, self._problem.penalty_mask
        coef = self._extrapolate(C)
        point = problem.evaluate(coef)
        precondition = self._preconditioner(C)
        updates = [self._update(pair, C) for pair in self._pairs]
        for _ in range(MAX_ITERATIONS):
            objective = self._objective(C, coef, point)
            gradient = C * point.gradient + penalty * coef
            direction = -self._precondition(gradient, updates, precondition)
            slope = problem.dot(gradient, direction)
            tolerance = TOLERANCE / math.sqrt(problem.n_samples)
            enough = tolerance * objective.mean(axis=1, keepdims=True)
            active = -slope / 2 > enough
            if not active.any():
                break
            length = active.astype(float)
            for _ in range(MAX_HALVINGS):
                step = length[..., None] * direction
                after = problem.evaluate(coef + step)
                reached = self._objective(C, coef + step, after) - objective
                predicted = length * slope
                too_long = active & (reached > SUFFICIENT * predicted)
                if not too_long.any():
                    break
                # the minimum of the parabola through what is known
                curvature = np.where(too_long, reached - predicted, 1)
                shorter = np.clip(-predicted / (2 * curvature), 0.1, 0.5)
                length = np.where(too_long, shorter * length, length)
            self._pairs.append(_Pair(step, after.gradient - point.gradient))
            updates.append(self._update(self._pairs[-1], C))
            del self._pairs[:-MEMORY], updates[:-MEMORY]
            coef, point = coef + step, after
        else:
            log.warning("C = %g: not at the minimum after %d steps", C, MAX_ITERATIONS)
        self.previous, self._last_coef = self.C, self._coef
        self.C, self._coef = C, coef
        return point.scores

    def _extrapolate(self, C: float) -> np.ndarray:
        """Return where the line through the last two minima, over log C, leads."""
        if not 0 < self.previous < self.C:
            return self._coef
        ahead = math.log(C / self.C) / math.log(self.C / self.previous)
        return self._coef + min(ahead, 1) * (self._coef - self._last_coef)

    def _objective(self, C: float, coef: np.ndarray, point: _Evaluation) -> np.ndarray:
        """Return f of each problem, (n_folds, n_problems)."""
        penalised = self._problem.penalty_mask * coef
        return C * point.loss + self._problem.dot(penalised, penalised) / 2

    def _preconditioner(self, C: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the inverse of 0.05 C XᵀX + I, and those of the intercepts."""
        problem = self._problem
        share = problem.n_train.mean() / problem.n_samples
        curvature = MEAN_CURVATURE * C * share * problem.eigenvalues + 1
        inverse = (problem.eigenvectors / curvature) @ problem.eigenvectors.T
        return inverse, 1 / (MEAN_CURVATURE * C * problem.n_train)[:, None]

    def _update(self, pair: _Pair, C: float) -> _Update:
        """Return the update of L-BFGS that a pair gives for this C."""
        change = C * pair.change + self._problem.penalty_mask * pair.step
        product = self._problem.dot(pair.step, change)
        product[product <= 0] = np.inf  # of a step of length 0
        return _Update(pair.step, change, product)

    def _precondition(
        self,
        gradient: np.ndarray,
        updates: list[_Update],
        initial: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """Return H⁻¹ gradient by the two-loop recursion of L-BFGS."""
        dot = self._problem.dot
        v, weights = gradient.copy(), []
        for update in reversed(updates):
            weights.append(dot(update.step, v) / update.product)
            v -= weights[-1][..., None] * update.change
        inverse, of_intercept = initial
        v = np.concatenate(
            [v[..., :-1] @ inverse, (of_intercept * v[..., -1])[..., None]], 2
        )
        for update, weight in zip(updates, reversed(weights), strict=True):
            missing = weight - dot(update.change, v) / update.product
            v += missing[..., None] * update.step
        return v
