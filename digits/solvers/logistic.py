"""L2-regularised logistic regression, trained to a proven distance from the optimum.

The objective is scikit-learn's, on standardised columns, the intercept not penalised:

    f(W) = C · Σ log-loss + ½‖W‖²

One iteration is a forward pass over the data (the scores of a direction), a search
that needs no pass, because scores are linear in the coefficients, and a backward pass
(the gradient). All classes share each pass. There are two phases.

1. L-BFGS in the metric 0.05 C XᵀX + I, the same for all classes, until an iteration
   gains less than one part in 10,000.
2. Newton's method with conjugate directions. The Hessian of a class is Xᵀ diag(w) X + I
   with w = C p(1 - p), and ten exact ones would be most of the cost. A few thousand rows
   are enough if they are drawn with probability proportional to their leverage
   wᵢ xᵢᵀ H⁻¹ xᵢ: their Gram matrix then is within a small factor of the true one in every
   direction (Cohen et al., "Uniform sampling for matrix approximation", 2015). The
   leverages come from random projections through the factors before. With these as the
   metric, f is minimised over the span of the direction and the step before, with
   coefficients of its own for each class. The rows are drawn anew when the Newton
   decrement no longer falls. The draws are seeded, so the result is the same each time.
   Near the optimum of a softmax it is the classes' influence on each other that is
   missing. The later draws therefore are of pairs of classes, w = C p_c p_d, from which
   the Hessian of all classes together is factorised: that takes as long as a few draws
   of classes, and a third of the iterations where there are many rows.

When to stop: f is 1-strongly convex in W, so with the best intercept
f(W) - f* ≤ ½‖∇f(W)‖². This bound, relative to f, is computed in float64 from the data;
it is what `tol` limits. The true distance is far smaller. Sums are float32 within a
block of rows as long as that gets on, float64 where it no longer does.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from threadpoolctl import threadpool_limits

from digits.parallel import available_threads, sum_tuples
from digits.solvers.estimator import Estimator
from digits.solvers.preconditioner import Coupled, Separate, cholesky
from digits.solvers.standardized import BLOCK, Rows

log = logging.getLogger(__name__)

MEMORY = 30  # pairs that L-BFGS keeps
SWITCH = 1e-4  # relative gain of an iteration below which phase 2 begins
FIRST_PHASE = 40  # iterations after which it begins in any case
DRAWN = 4000  # rows drawn for a class's Hessian at least, 5 % more with each draw
NEAR = 3e-5  # Newton decrement, relative to f, below which draws are of pairs
COUPLED_WIDTH = 8000  # coefficients that can be factorised together: 130 MB
COUPLED_ROWS = 40_000_000  # rows times pairs whose leverages can be kept: 320 MB
PROJECTIONS = 6  # for the leverages
STALLED = 12  # iterations of phase 2 without progress before float64 takes over
EXHAUSTED = 100  # iterations of float64 without progress before it is given up
FREE = 1e-3  # times C: a curvature for the intercept, which has no penalty

Callback = Callable[[int, np.ndarray, float], None]


@dataclass
class LogisticRegression(Estimator):
    """Logistic regression of two classes, of each against the rest, or multinomial.

    C: inverse strength of the penalty, > 0
    multi_class: "one_vs_rest" or "multinomial"; two classes are one problem either way
    tol: stop when the proven bound on (f - f*) / f* is at most this, for each problem
    max_iter: most iterations; a warning is logged when they end first
    n_threads: by default as many as there are processors
    callback: called with iteration, objectives and bound after each iteration

    Further attributes after `fit`: `classes_`; `n_iter_`; `gap_`, the bound reached;
    `objective_`, (n_outputs,), or (1,) if multinomial.
    """

    C: float = 1.0
    multi_class: Literal["one_vs_rest", "multinomial"] = "multinomial"
    tol: float = 1e-6
    max_iter: int = 1000
    n_threads: int | None = None
    callback: Callback | None = None

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the columns of X, standardised here, to the labels y.

        X: (n_samples, ...) uint8 or float, may be memory-mapped; y: (n_samples,)

        Raises `ValueError` if y has one class alone.
        """
        classes, index = np.unique(y, return_inverse=True)
        if len(classes) < 2:  # noqa: PLR2004
            raise ValueError("y has one class alone; two at least are needed")
        member = index[:, None] == np.arange(len(classes))
        if len(classes) == 2:  # noqa: PLR2004
            member = member[:, 1:]
        softmax = self.multi_class == "multinomial" and len(classes) > 2  # noqa: PLR2004
        n_threads = self.n_threads or available_threads()
        with (
            ThreadPoolExecutor(n_threads) as pool,
            threadpool_limits(1, "blas"),
            np.errstate(over="ignore", under="ignore"),  # far from the cut p is 0 or 1
        ):
            rows = Rows(X, pool, n_threads)
            search = _Minimiser(rows, member, Softmax() if softmax else Sigmoid(), self.C)
            self.n_iter_ = search.run(self.tol, self.max_iter, self.callback)
        self.classes_ = classes
        self.coef_, self.intercept_ = rows.unfold(search.W)
        self.mean_, self.scale_ = rows.mean, rows.scale
        self.objective_, self.gap_ = search.f, float(search.gaps.max())
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


class Sigmoid:
    """The log-loss of problems side by side, each of two classes, -1 and +1."""

    coupled = False

    @staticmethod
    def targets(member: np.ndarray) -> np.ndarray:
        """Return +1 where a sample is of the class, else -1, as int8."""
        return np.where(member, 1, -1).astype(np.int8)

    @staticmethod
    def loss(Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each sample's loss, its derivative by the score, and the curvature."""
        M = Y * Z
        E = np.exp(-np.abs(M))
        q = np.where(M > 0, E, 1) / (1 + E)
        return np.log1p(E) - np.minimum(M, 0), -Y * q, q * (1 - q)

    @staticmethod
    def curvature(R: np.ndarray, _Y: np.ndarray) -> np.ndarray:
        """Return p(1 - p), of the derivatives that `loss` gave."""
        q = np.abs(R)
        return q - q * q

    @staticmethod
    def loss_of_nothing(_n_outputs: int) -> float:
        """Return a sample's loss where all scores are 0."""
        return float(np.log(2))


class Softmax:
    """The log-loss of one problem of many classes."""

    coupled = True

    @staticmethod
    def targets(member: np.ndarray) -> np.ndarray:
        """Return 1 where a sample is of the class, else 0, as int8."""
        return member.astype(np.int8)

    @staticmethod
    def loss(Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each sample's loss, its derivatives by the scores, and p."""
        top = Z.max(axis=1, keepdims=True)
        P = np.exp(Z - top)
        total = P.sum(axis=1, keepdims=True)
        P /= total
        loss = np.log(total) + top - (Z * Y).sum(axis=1, keepdims=True)
        return loss, P - Y, P

    @staticmethod
    def curvature(R: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Return p, of the derivatives that `loss` gave."""
        return R + Y

    @staticmethod
    def loss_of_nothing(n_outputs: int) -> float:
        """Return a sample's loss where all scores are 0."""
        return float(np.log(n_outputs))


@dataclass
class _Minimiser:
    """The state of a fit: where it is, and what it knows of the curvature there."""

    rows: Rows
    member: np.ndarray  # (n_samples, n_outputs) bool
    model: Sigmoid | Softmax
    C: float
    W: np.ndarray = field(init=False)  # (n_outputs, width), the last column the intercept
    f: np.ndarray = field(init=False)  # (n_problems,) objectives
    gaps: np.ndarray = field(init=False)  # (n_problems,) bounds on the relative gap

    def __post_init__(self) -> None:
        rows, self.n_outputs = self.rows, self.member.shape[1]
        self.random = np.random.default_rng(0)
        self.penalised = np.ones(rows.width)
        self.penalised[-1] = 0
        self.ridge = np.diag(np.where(self.penalised == 1, 1, FREE * self.C))
        self.Y = rows.fold(self.model.targets(self.member))
        if not self.model.coupled and rows.padding:
            self.Y[-1, :, -rows.padding :] = 1
        nothing = self.C * self.model.loss_of_nothing(self.n_outputs)
        self.f = np.full(
            1 if self.model.coupled else self.n_outputs, rows.n_samples * nothing
        )
        self.padding_loss = rows.padding * nothing
        self.gaps = np.full(len(self.f), np.inf)
        self.dtype: type = np.float32
        self.W = np.zeros((self.n_outputs, rows.width))
        self.Z = np.zeros((rows.n_blocks, self.n_outputs, BLOCK), np.float32)
        self.R = self.model.loss(self.Z, self.Y)[1].astype(np.float32)
        self.factors = [cholesky(0.05 * self.C * rows.gram() + self.ridge)]
        self.metric: Separate | Coupled = Separate(self.factors)
        self.pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.step: tuple[np.ndarray, np.ndarray] | None = None
        self.n_drawn = max(DRAWN, rows.n_samples // 50)
        self.decrement = np.full(len(self.f), np.inf)
        self.g = self._gradient()

    def run(self, tol: float, max_iter: int, callback: Callback | None) -> int:
        """Iterate until each gap is at most `tol`; return the number of iterations."""
        newton, checked, best, best_at = False, False, np.inf, 0
        for iteration in range(1, max_iter + 1):
            if newton:
                self._renew_metric(tol)
            before = self.f
            self._iterate(newton=newton)
            if not newton:
                gain = (before - self.f).sum() / self.f.sum()
                newton = gain < SWITCH or iteration >= FIRST_PHASE
            self.gaps = self._bounds()
            slope = float(
                (self._dot(self.penalised * self.g, self.g).ravel() / self.f).max()
            )
            if not newton or slope < best / 2:
                best, best_at = slope, iteration
            idle = iteration - best_at if newton else 0
            stalled = self.dtype is np.float32 and idle >= STALLED
            exhausted = self.dtype is float and idle >= EXHAUSTED
            last = exhausted or iteration == max_iter
            if self.gaps.max() <= tol or stalled or last:
                self._settle()
                if stalled or checked:
                    self.dtype, best_at = float, iteration
                self.Z, self.R = self.Z.astype(self.dtype), self.R.astype(self.dtype)
                checked = True
            if callback:
                callback(iteration, self.f.copy(), float(self.gaps.max()))
            if self.gaps.max() <= tol or exhausted:
                break
        return iteration

    def _dot(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the inner product of each problem, shaped to scale (n_outputs, width)."""
        product = u * v
        if self.model.coupled:
            return product.sum(keepdims=True)
        return product.sum(axis=1, keepdims=True)

    def _gradient(self, dtype: type | None = None) -> np.ndarray:
        gradient = self.rows.gradient(self.R, dtype or self.dtype)
        return self.C * gradient + self.penalised * self.W

    def _bounds(self) -> np.ndarray:
        """Return ½‖∇f‖² relative to the lowest that f* can then be, for each problem."""
        bound = self._dot(self.penalised * self.g, self.g).ravel() / 2
        lowest = self.f - bound
        return np.divide(bound, lowest, out=np.full_like(bound, np.inf), where=lowest > 0)

    def _solve(self, V: np.ndarray) -> np.ndarray:
        """Return metric⁻¹ V."""
        return self.metric.backward(self.metric.forward(V))

    def _renew_metric(self, tol: float) -> None:
        """Draw the Hessians anew of the problems whose Newton decrement no longer falls."""
        decrement = self._decrement()
        renew = (decrement > 0.7 * self.decrement) & (self.gaps > tol)
        if renew.any():
            n, rows = self.n_outputs, self.rows
            pairs = [(c, d) for c in range(n) for d in range(c)]
            if (
                self.model.coupled
                and decrement.max() < NEAR
                and (n - 1) * rows.width <= COUPLED_WIDTH
                and len(pairs) * rows.n_samples <= COUPLED_ROWS
            ):
                self.metric = Coupled(pairs, self._grams(pairs), self.ridge, rows.pool)
            else:
                if len(self.factors) < n:  # one for all classes
                    self.factors *= n
                    renew[:] = True
                which = np.flatnonzero(np.broadcast_to(renew, n))
                grams = self._grams([(int(c),) for c in which])
                factors = rows.pool.map(lambda G: cholesky(G + self.ridge), grams)
                for c, factor in zip(which, factors, strict=True):
                    self.factors[c] = factor
                self.metric = Separate(self.factors)
            n_most = max(rows.n_samples // 3, DRAWN)
            self.n_drawn = min(int(self.n_drawn * 1.05), n_most)
            self.pairs.clear()
            decrement = self._decrement()
        self.decrement = decrement

    def _decrement(self) -> np.ndarray:
        return self._dot(self.g, self._solve(self.g)).ravel() / 2 / self.f

    def _iterate(self, *, newton: bool) -> None:
        """Go to the lowest point in the span of the direction and, later, the last step."""
        d = self._direction()
        directions = [(d, self.rows.scores(d, self.dtype))]
        if newton and self.step is not None:
            directions.append(self.step)
        a = self._search(directions)
        step = sum(c[:, None] * u for c, (u, _) in zip(a, directions, strict=True))
        scores = sum(
            c.astype(self.dtype)[:, None] * S
            for c, (_, S) in zip(a, directions, strict=True)
        )
        if self.model.coupled:
            # A shift common to all classes changes no probability, but the penalty.
            shift = self.penalised * (self.W + step).mean(axis=0)
            self.f = self.f - self.n_outputs / 2 * (shift**2).sum()
            step -= step.mean(axis=0)
            scores -= scores.mean(axis=1, keepdims=True)
            self.Z -= self.Z.mean(axis=1, keepdims=True)
        self.W = self.W + step
        self.step = (step, scores)
        old, self.g = self.g, self._gradient()
        if not newton:
            change = self.g - old
            self.pairs.append((step, change, np.maximum(self._dot(step, change), 1e-30)))
            del self.pairs[:-MEMORY]

    def _direction(self) -> np.ndarray:
        """Return -H⁻¹ ∇f, by L-BFGS's two loops around the metric."""
        v, weights = self.g, []
        for s, y, sy in reversed(self.pairs):
            weights.append(self._dot(s, v) / sy)
            v = v - weights[-1] * y
        v = self._solve(v)
        for (s, y, sy), weight in zip(self.pairs, reversed(weights), strict=True):
            v = v + (weight - self._dot(y, v) / sy) * s
        if self.model.coupled:
            v = v - v.mean(axis=0)
        return -v.astype(np.float32).astype(float)  # as the pass will see it

    def _settle(self) -> None:
        """Take the best intercept, and compute all of the state in float64."""
        unit = np.zeros_like(self.W)
        unit[:, -1] = 1
        ones = self.rows.fold(np.ones((self.rows.n_samples, self.n_outputs)))
        self.Z, self.step = self.rows.scores(self.W, float), None
        (a,) = self._search([(unit, ones)], known=False)
        self.W = self.W + a[:, None] * unit
        self.g = self._gradient(float)
        self.gaps = self._bounds()

    def _search(
        self, directions: list[tuple[np.ndarray, np.ndarray]], *, known: bool = True
    ) -> np.ndarray:
        """Minimise f over W + Σ a[j] · direction j, each class with an a of its own.

        directions: pairs of coefficients (n_outputs, width) and their scores. Newton's
        method on the stored scores: no pass over the data. Sets Z, R and f; returns a,
        (n_directions, n_outputs). known: f and R are those of Z already.
        """
        rounding = 1e-7 if self.Z.dtype == np.float32 else 1e-14
        line = _Span(self, directions)
        a = np.zeros((len(directions), self.n_outputs))
        f, g, H = line.at(a, known=known)
        start = f
        for attempt in range(8):
            newton, decrement = _newton_step(g, H, coupled=self.model.coupled)
            enough = np.maximum(0.02 * (start - f + decrement), 1e-9 * np.abs(f))
            if attempt and np.all(decrement <= enough):
                break
            length = np.ones_like(f)
            for _ in range(20):
                f_new, g_new, H_new = line.at(a + length * newton)
                worse = ~(f_new <= f + rounding * np.abs(f))
                if not worse.any():
                    break
                length = np.where(worse, length / 3, length)
            a, f, g, H = a + length * newton, f_new, g_new, H_new
        self.Z, self.R, self.f = line.Z, line.R, f
        return a

    def _grams(self, terms: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Return Xᵀ diag(w) X of each term of the Hessian, from few rows, float32.

        terms: (c,), a class by itself, or (c, d), two classes of a softmax
        """
        rows, n_terms = self.rows, len(terms)
        normal = self.random.standard_normal
        probes = [
            self.metric.backward(normal(self.W.shape, np.float32))
            for _ in range(PROJECTIONS)
        ]
        at = {c: i for i, c in enumerate(sorted({c for term in terms for c in term}))}
        project = rows.product(np.concatenate([z[list(at)] for z in probes]))
        weights = np.empty((n_terms, rows.n_blocks, BLOCK), np.float32)
        importance = np.empty_like(weights)

        def estimate(a: int, b: int) -> None:
            V = project(a, b).reshape(b - a, PROJECTIONS, -1, BLOCK)
            R, Y = self.R[a:b], self.Y[a:b]
            p = _weights(R) if len(terms[0]) == 1 else _raised(R + Y, Y)
            for i, (c, *other) in enumerate(terms):
                w, v = p[:, c], V[:, :, at[c]]
                for d in other:
                    w, v = w * p[:, d], v - V[:, :, at[d]]
                weights[i, a:b], importance[i, a:b] = w, w * (v * v).sum(axis=1)

        rows.map(estimate)
        weights[:, -1, BLOCK - rows.padding :] = 0
        importance *= 1 / (float(importance.sum(dtype=float)) + 1e-30)
        importance += 0.3 / (float(weights.sum(dtype=float)) + 1e-30) * weights
        scale = _scale(importance, self.n_drawn * min(n_terms, self.n_outputs))
        seeds = self.random.integers(0, 2**63, n_terms)

        def gram(i: int) -> np.ndarray:
            p = np.minimum(1, scale * importance[i].ravel())
            drawn = np.random.default_rng(seeds[i]).random(len(p), np.float32) < p
            index = np.flatnonzero(drawn)
            root = np.sqrt(self.C * weights[i].ravel()[index] / p[index])
            G = np.zeros((rows.width, rows.width), np.float32)
            for j in range(0, len(index), 1000):
                F = rows.take(index[j : j + 1000]) * root[j : j + 1000, None]
                G += F.T @ F
            return G

        return list(rows.pool.map(gram, range(n_terms)))


class _Span:
    """f on W + Σ a[j] · direction j, by the scores alone."""

    def __init__(
        self, of: _Minimiser, directions: list[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        self.of, self.scores = of, [scores for _, scores in directions]
        ds = [d for d, _ in directions]
        P, W = of.penalised, of.W
        self.quadratic = np.stack([[(P * u * v).sum(axis=1) for v in ds] for u in ds])
        self.linear = np.stack([(P * W * u).sum(axis=1) for u in ds])
        self.constant = (P * W * W).sum(axis=1) / 2
        self.Z, self.R = np.empty_like(of.Z), np.empty_like(of.Z)

    def at(
        self, a: np.ndarray, *, known: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return f, its gradient by a and its Hessian; keep the scores and residuals.

        known: a is 0, and what the last search kept is still true.
        """
        of = self.of
        weights = a.astype(of.Z.dtype)[:, None, :, None]

        def chunk(i: int, j: int) -> tuple[Any, ...]:
            parts = [scores[i:j] for scores in self.scores]
            loss: Any = np.zeros((1, 1, 1))
            if known:
                R, w = of.R[i:j], of.model.curvature(of.R[i:j], of.Y[i:j])
            else:
                Z = of.Z[i:j] + sum(c * D for c, D in zip(weights, parts, strict=True))
                loss, R, w = of.model.loss(Z, of.Y[i:j])
                self.Z[i:j], self.R[i:j] = Z, R
            g = np.stack([(R * D).sum(axis=(0, 2)) for D in parts]).astype(float)
            T = [w * D for D in parts]
            H = np.stack([[(t * D).sum(axis=(0, 2)) for D in parts] for t in T]).astype(
                float
            )
            coupling: Any = 0.0
            if of.model.coupled:
                stacked = np.concatenate(T, axis=1)
                coupling = np.matmul(stacked, stacked.transpose(0, 2, 1)).sum(
                    0, dtype=float
                )
            return loss.sum(axis=(0, 2), dtype=float), g, H, coupling

        loss, g, H, coupling = sum_tuples(of.rows.map(chunk))
        penalty = np.einsum("ik,ijk,jk->k", a, self.quadratic, a) / 2
        penalty += (self.linear * a).sum(axis=0) + self.constant
        g = of.C * g + self.linear + np.einsum("ijk,jk->ik", self.quadratic, a)
        H = of.C * H + self.quadratic
        if not of.model.coupled:
            f = of.f if known else of.C * loss + penalty - of.padding_loss
            return f, g, H
        f = of.C * loss.sum(keepdims=True) + penalty.sum() - of.padding_loss
        f = of.f if known else f
        J, _, k = H.shape
        full = -of.C * coupling
        blocks = full.reshape(J, k, J, k)
        blocks[:, np.arange(k), :, np.arange(k)] += np.moveaxis(H, 2, 0)
        return f, g, full


def _newton_step(
    g: np.ndarray, H: np.ndarray, *, coupled: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return -H⁻¹g, (n_directions, n_outputs), and the decrement of each problem."""
    if coupled:
        ridge = np.diag(1e-9 * np.diag(H) + 1e-30)
        step = -np.linalg.solve(H + ridge, g.ravel()).reshape(g.shape)
        return step, -np.atleast_1d((g * step).sum())
    each = H.transpose(2, 0, 1)
    diagonal = np.diagonal(each, axis1=1, axis2=2)
    each = each + np.eye(len(g)) * (1e-9 * diagonal + 1e-30)[:, None, :]
    step = -np.linalg.solve(each, g.T[:, :, None])[:, :, 0].T
    return step, -(g * step).sum(axis=0)


def _weights(R: np.ndarray) -> np.ndarray:
    """Return the curvature p(1 - p) of each sample, raised where it is far wrong.

    There p(1 - p) is next to nothing, and a Newton step would be of the order of
    e^|score|; the secant to where the sample is right is finite.
    """
    q = np.abs(R)
    wrong = np.log(np.maximum(q, 0.5) / np.maximum(1 - q, 1e-7))
    return np.maximum(q * (1 - q), q / (4 + wrong))


def _raised(P: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return the probabilities, that of a sample's own class raised where it is far wrong.

    As in `_weights`: of two classes, the product of both is the weight there.
    """
    p = np.clip(P, 1e-7, 0.5)
    return np.where(Y == 1, np.maximum(P, 1 / (4 + np.log((1 - p) / p))), P)


def _scale(importance: np.ndarray, n_drawn: int) -> float:
    """Return the scale at which min(1, scale · importance) sums to about n_drawn."""
    scale = float(n_drawn)
    for _ in range(5):
        total = float(np.minimum(1, scale * importance).sum(dtype=float))
        scale *= min(n_drawn / (total + 1e-30), 1e6)
    return scale
