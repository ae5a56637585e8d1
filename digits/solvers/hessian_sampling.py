"""Hessians of a logistic loss, estimated from rows that are sampled by their leverage.

The Hessian of a class is Xᵀ diag(w) X with the curvatures w = C p(1 - p). Few rows suffice
for a preconditioner if they are drawn with probability proportional to their leverage
wᵢ xᵢᵀ M⁻¹ xᵢ, where M is any Hessian nearby (Cohen et al., 2015). M is the preconditioner
before. Random projections estimate the leverages (Spielman and Srivastava, 2011;
Drineas et al., 2012): xᵀ M⁻¹ x is the variance of xᵀ L⁻ᵀ z, where z is standard normal.
"""

from collections.abc import Sequence

import numpy as np

from digits.solvers.losses import floored_curvature
from digits.solvers.preconditioner import Preconditioner
from digits.solvers.problem import LogisticProblem, Point
from digits.solvers.standardized import BLOCK_ROWS

N_PROJECTIONS = 6  # for the leverages
ROWS_PER_HESSIAN = 4000  # rows drawn for a class, at least
ROW_FRACTION = 50  # of many samples, a fiftieth is drawn
MAX_ROW_FRACTION = 3  # and at most a third
ROW_GROWTH = 1.05  # so many times the rows the next time
CURVATURE_SHARE = 0.3  # of a draw that is by curvature alone, compared with leverage
GRAM_ROWS = 1000  # rows of a product
SCALE_STEPS = 5


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

    def grams(
        self, classes: Sequence[int], point: Point, preconditioner: Preconditioner
    ) -> list[np.ndarray]:
        """Estimate Xᵀ diag(C p_c (1 - p_c)) X for each class c.

        Args:
            classes: In ascending order.
            point: Where.
            preconditioner: A Hessian nearby, for the leverages.

        Returns:
            (n_columns, n_columns) float32 for each class.
        """
        X = self._problem.X
        curvature, importance = self._leverages(classes, point, preconditioner)
        importance *= 1 / (float(importance.sum(dtype=float)) + 1e-30)
        share = CURVATURE_SHARE / (float(curvature.sum(dtype=float)) + 1e-30)
        importance += share * curvature
        scale = _probability_scale(importance, self.n_rows * len(classes))
        seeds = self._random.integers(0, 2**63, len(classes))

        def gram(position: int) -> np.ndarray:
            probability = np.minimum(1, scale * importance[position].ravel())
            return self._sampled_gram(
                curvature[position].ravel(), probability, seeds[position]
            )

        self.n_rows = min(int(self.n_rows * ROW_GROWTH), self._max_rows)
        return list(X.pool.map(gram, range(len(classes))))

    def _leverages(
        self, classes: Sequence[int], point: Point, preconditioner: Preconditioner
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return curvature and leverage, up to a factor, of each sample.

        Both are (len(classes), n_blocks, BLOCK_ROWS) float32.
        """
        X, rows = self._problem.X, list(classes)
        probes = [
            preconditioner.solve_upper(
                self._random.standard_normal(point.coef.shape, np.float32)
            )[rows]
            for _ in range(N_PROJECTIONS)
        ]
        project = X.scorer(np.concatenate(probes))
        curvature = np.empty((len(rows), X.n_blocks, BLOCK_ROWS), np.float32)
        leverage = np.empty_like(curvature)

        def estimate(first: int, end: int) -> None:
            blocks = slice(first, end)
            V = project(first, end).reshape(
                end - first, N_PROJECTIONS, len(rows), BLOCK_ROWS
            )
            w = floored_curvature(point.residuals[blocks][:, rows])
            curvature[:, blocks] = w.transpose(1, 0, 2)
            leverage[:, blocks] = (w * (V * V).sum(axis=1)).transpose(1, 0, 2)

        X.map_chunks(estimate)
        curvature[:, -1, BLOCK_ROWS - X.padding :] = 0
        return curvature, leverage

    def _sampled_gram(
        self, curvature: np.ndarray, probability: np.ndarray, seed: int
    ) -> np.ndarray:
        """Estimate Xᵀ diag(C · curvature) X from rows drawn independently.

        Args:
            curvature: Of each sample, with the padding.
            probability: Of being drawn, the same shape.
            seed: Of this draw.
        """
        X = self._problem.X
        random = np.random.default_rng(seed)
        drawn = random.random(len(probability), np.float32) < probability
        index = np.flatnonzero(drawn)
        root = np.sqrt(self._problem.C * curvature[index] / probability[index])
        G = np.zeros((X.n_columns, X.n_columns), np.float32)
        for start in range(0, len(index), GRAM_ROWS):
            rows = slice(start, start + GRAM_ROWS)
            F = X.sample_rows(index[rows]) * root[rows, None]
            G += F.T @ F
        return G


def _probability_scale(importance: np.ndarray, n_drawn: int) -> float:
    """Return the scale at which min(1, scale · importance) sums to about n_drawn."""
    scale = float(n_drawn)
    for _ in range(SCALE_STEPS):
        total = float(np.minimum(1, scale * importance).sum(dtype=float))
        scale *= min(n_drawn / (total + 1e-30), 1e6)
    return scale
