import json
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.linalg import eigvalsh
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from digits.solvers import (
    hessian_sampling,
    least_squares,
    logistic,
    rows,
    sklearn_backend,
    standardized,
)
from digits.solvers.hessian_sampling import HessianSampler
from digits.solvers.least_squares import LinearRegression
from digits.solvers.line_search import SubspaceObjective, minimize
from digits.solvers.logistic import LogisticRegression
from digits.solvers.losses import LogisticLoss, SoftmaxLoss
from digits.solvers.preconditioner import SharedBlock, cholesky
from digits.solvers.problem import LogisticProblem
from digits.solvers.rows import BLOCK_ROWS, LocalRows, TreeSum, borders
from digits.solvers.standardized import (
    StandardizedMatrix,
    rmatmul,
    scores,
    to_blocks,
    weighted_gram,
)
from tests.helpers.project import ROOT
from tests.stress import rounding

OURS = SimpleNamespace(
    LinearRegression=LinearRegression, LogisticRegression=LogisticRegression
)
BOTH = pytest.mark.parametrize(
    "source", [OURS, sklearn_backend], ids=["fast", "scikit_learn"]
)


def data(n_samples=400, n_classes=3, seed=1):
    """Return 8 columns of bytes, of which one is constant and two are equal, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (n_samples, 8)).astype(np.uint8)
    X[:, 5] = 7
    X[:, 6] = X[:, 0]
    noise = rng.normal(scale=40, size=n_samples)
    y = np.digitize(X[:, 0] + X[:, 1] / 2.0 + noise, np.linspace(120, 260, n_classes - 1))
    return X, y


@pytest.fixture(scope="module")
def X():
    return data()[0]


@pytest.fixture(scope="module")
def y():
    return data()[1]


def standardise(X):
    return StandardScaler().fit_transform(X.reshape(len(X), -1).astype(float))


def one_hot(y):
    return np.eye(y.max() + 1)[y]


def objective(model, X, y, C):
    """Return C · Σ log-loss + ½‖coef‖², by its definition."""
    Z = standardise(X) @ model.coef_.T + model.intercept_
    penalty = (model.coef_**2).sum(axis=1) / 2
    if len(model.coef_) == len(np.unique(y)) and model.multi_class == "multinomial":
        return -C * log_softmax(Z, axis=1)[np.arange(len(y)), y].sum() + penalty.sum()
    member = one_hot(y)[:, -Z.shape[1] :]
    return C * np.logaddexp(0, np.where(member, -Z, Z)).sum(axis=0) + penalty


def gradient(model, X, y, C):
    Z = standardise(X) @ model.coef_.T + model.intercept_
    if model.multi_class == "multinomial" and Z.shape[1] > 1:
        residual = softmax(Z, axis=1) - one_hot(y)
    else:
        residual = 1 / (1 + np.exp(-Z)) - one_hot(y)[:, -Z.shape[1] :]
    return C * residual.T @ standardise(X) + model.coef_, C * residual.sum(axis=0)


@pytest.fixture
def unrounded(monkeypatch):
    """Make the grid of least squares so fine that rounding to it changes nothing."""
    monkeypatch.setattr(least_squares, "MOST_MOVE", 1e-26)


@BOTH
@pytest.mark.usefixtures("unrounded")
def test_least_squares_solves_the_normal_equations(X, y, source):
    line = source.LinearRegression().fit(X, y)
    varying = [0, 1, 2, 3, 4, 7]  # and one of the two equal columns
    A = np.column_stack([standardise(X)[:, varying], np.ones(len(X))])
    expected = np.linalg.solve(A.T @ A, A.T @ y)
    coef = line.coef_[0].copy()
    coef[0] += coef[6]
    np.testing.assert_allclose([*coef[varying], *line.intercept_], expected, atol=1e-12)
    # Of a constant pixel, our weight is 0, and scikit-learn's is LAPACK's rounding.
    assert abs(line.coef_[0, 5]) <= (0 if source is OURS else 1e-12)


def test_rounding_moves_least_squares_by_no_more_than_it_may(X, y, monkeypatch):
    rounded = LinearRegression().fit(X, y)
    monkeypatch.setattr(least_squares, "MOST_MOVE", 1e-26)
    exact = LinearRegression().fit(X, y)
    assert (rounded.coef_ != exact.coef_).any()
    Z = standardise(X) @ np.vstack([rounded.coef_, exact.coef_]).T + rounded.intercept_
    moved, best = ((Z - y[:, None]) ** 2).mean(axis=0)
    assert 0 <= moved / best - 1 <= 1e-10
    assert moved / best - 1 <= rounded.gap_ + 1e-14


@BOTH
def test_least_squares_takes_the_smallest_of_many_solutions(X, y, source):
    coef = source.LinearRegression().fit(X, y).coef_[0]
    assert coef[0] == pytest.approx(coef[6], abs=1e-12)


@BOTH
@pytest.mark.parametrize(
    ("multi_class", "n_classes", "n_outputs"),
    [
        ("one_vs_rest", 2, 1),
        ("one_vs_rest", 3, 3),
        ("multinomial", 3, 3),
        ("multinomial", 7, 7),
    ],
)  # fmt: skip
def test_at_the_optimum_the_gradient_vanishes(source, multi_class, n_classes, n_outputs):
    X, y = data(n_classes=n_classes)
    model = source.LogisticRegression(C=0.5, multi_class=multi_class, tol=1e-10).fit(X, y)
    assert model.coef_.shape == (n_outputs, 8)
    by_coef, by_intercept = gradient(model, X, y, 0.5)
    np.testing.assert_allclose(by_coef, 0, atol=2e-3)
    np.testing.assert_allclose(by_intercept, 0, atol=2e-3)


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
def test_a_step_in_any_direction_increases_the_objective(X, y, multi_class):
    model = LogisticRegression(C=0.5, multi_class=multi_class, tol=1e-12).fit(X, y)
    best = objective(model, X, y, 0.5)
    np.testing.assert_allclose(model.objective_, best, rtol=1e-12)
    rng = np.random.default_rng(3)
    coef = model.coef_
    for _ in range(20):
        model.coef_ = coef + 1e-3 * rng.normal(size=coef.shape)
        assert np.all(objective(model, X, y, 0.5) > best)


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
@pytest.mark.parametrize("C", [1e-4, 1e-2, 1.0, 1e2, 1e4])
def test_both_solvers_find_the_same_model(multi_class, C):
    X, y = data(n_samples=150, n_classes=4)
    fast = LogisticRegression(C=C, multi_class=multi_class, tol=1e-10).fit(X, y)
    slow = sklearn_backend.LogisticRegression(
        C=C, multi_class=multi_class, tol=1e-10, max_iter=10_000
    ).fit(X, y)
    np.testing.assert_allclose(
        fast.coef_, slow.coef_, atol=2e-4 * (1 + abs(slow.coef_).max())
    )
    np.testing.assert_allclose(
        objective(fast, X, y, C), objective(slow, X, y, C), rtol=1e-8
    )


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-5])
def test_the_bound_on_the_gap_holds(X, y, multi_class, tol):
    best = LogisticRegression(multi_class=multi_class, tol=1e-13).fit(X, y)
    model = LogisticRegression(multi_class=multi_class, tol=tol).fit(X, y)
    assert model.gap_ <= tol
    gap = (objective(model, X, y, 1.0) - best.objective_) / best.objective_
    assert np.all(gap <= model.gap_)
    assert np.all(gap >= -1e-12)


@BOTH
def test_a_one_versus_rest_row_is_its_binary_fit(X, y, source):
    options = {"C": 0.5, "multi_class": "one_vs_rest", "tol": 1e-12}
    model = source.LogisticRegression(**options).fit(X, y)
    for index in range(3):
        alone = source.LogisticRegression(**options).fit(X, (y == index).astype(int))
        np.testing.assert_allclose(model.coef_[index], alone.coef_[0], atol=1e-4)
        assert model.intercept_[index] == pytest.approx(alone.intercept_[0], abs=1e-4)


@BOTH
@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
def test_a_constant_column_gets_no_weight(X, y, source, multi_class):
    model = source.LogisticRegression(multi_class=multi_class).fit(X, y)
    np.testing.assert_array_equal(model.coef_[:, 5], 0)
    assert model.mean_[5] == 7
    assert model.scale_[5] == 1


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
def test_edge_cases_are_solved(multi_class):
    rng = np.random.default_rng(0)
    X, y = data(n_samples=1200, n_classes=4)
    rare = np.r_[np.flatnonzero(y != 3), np.flatnonzero(y == 3)[:3]]
    scales = np.logspace(-3, 3, 8, dtype=np.float32)
    cases = {
        "one class far rarer": (X[rare], y[rare], 1.0),
        "separable, weak penalty": (X, (X[:, 0] > 127).astype(int), 1e4),
        "fewer samples than columns": (rng.normal(size=(10, 40)), np.arange(10) % 3, 1.0),
        "float32 of any scale": (rng.normal(size=(500, 8)).astype(np.float32) * scales + 50,
                                 np.arange(500) % 3, 1.0),
        "one column": (X[:, :1], y, 1.0),
        "no column that varies": (np.full((90, 2), 3, np.uint8), np.arange(90) % 3, 1.0),
        "two samples": (X[:2], np.array([0, 1]), 1.0),
    }  # fmt: skip
    for case, (columns, labels, C) in cases.items():
        model = LogisticRegression(C=C, multi_class=multi_class, tol=1e-8)
        model.fit(columns, labels)
        assert model.gap_ <= 1e-8, case
        assert np.isfinite(model.coef_).all(), case


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_data_is_fitted_at_any_penalty(multi_class, n_classes):
    y = np.arange(30) % n_classes
    X = np.random.default_rng(0).integers(0, 20, (30, 12)).astype(np.uint8)
    X[np.arange(30), y] += 200
    for C in 10.0 ** np.array([-8, -4, 0, 2, 4, 6]):
        model = LogisticRegression(C=C, multi_class=multi_class).fit(X, y)
        assert np.isfinite(model.coef_).all(), C
        slow = sklearn_backend.LogisticRegression(C=C, multi_class=multi_class).fit(X, y)
        ours, theirs = (objective(one, X, y, C) for one in (model, slow))
        assert np.all(ours <= theirs * (1 + 1e-8)), C


def test_a_single_class_is_refused(X):
    with pytest.raises(ValueError, match="only one class"):
        LogisticRegression().fit(X, np.zeros(len(X)))


@pytest.mark.long
def test_threads_do_not_change_the_result():
    X, y = data(n_samples=20_000, n_classes=5)
    fits = [LogisticRegression(tol=1e-9, n_threads=n).fit(X, y) for n in (1, 2, 3)]
    for other in fits[1:]:
        np.testing.assert_array_equal(other.coef_, fits[0].coef_)
        np.testing.assert_array_equal(other.intercept_, fits[0].intercept_)


def test_memory_mapped_data_give_the_same_as_data_in_memory(tmp_path):
    X, y = data(n_samples=5000)
    in_memory = LogisticRegression(tol=1e-10).fit(X, y)
    np.save(tmp_path / "X.npy", X)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    mapped = LogisticRegression(tol=1e-10).fit(X, y)
    np.testing.assert_array_equal(mapped.coef_, in_memory.coef_)


@BOTH
def test_a_fit_that_is_not_at_the_optimum_logs_a_warning(X, y, source, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = source.LogisticRegression(max_iter=2, tol=1e-10).fit(X, y)
    (record,) = caplog.records
    assert "not at the optimum after 2 iterations" in record.message
    assert not model.is_canonical_


@BOTH
def test_a_fit_that_float64_gets_no_nearer_ends_with_a_warning(X, y, source, caplog):
    """Otherwise all iterations would run: an hour here, a day on MNIST."""
    model = source.LogisticRegression(multi_class="one_vs_rest", max_iter=10**6, tol=1e-99)
    model.fit(X, y)
    assert model.n_iter_ <= 1000
    (record,) = caplog.records
    assert "float64 gets no nearer" in record.message
    assert not model.is_canonical_


# Problems of `rounding`: kinds and methods alternate, as tests/stress/rounding.py says.
GENERATED = {
    "separable, one against the rest": 1,
    "linearly dependent columns": 3,
    "a rare class, softmax": 12,
    "fewer samples than columns, least squares": 21,
    "linearly dependent columns, least squares": 115,
}


@pytest.mark.slow
@pytest.mark.long
def test_kernels_and_threads_change_no_byte():
    problems = [*GENERATED.values()]
    first, *others = (rounding.run(i, problems, seed=1) for i in (0, 3))
    assert all(fit["is_canonical"] for fit in first)
    for other in others:
        assert [fit["digests"] for fit in other] == [fit["digests"] for fit in first]


@pytest.mark.parametrize("number", GENERATED.values(), ids=GENERATED)
def test_the_order_of_rows_and_columns_changes_no_bit(number):
    problem = rounding.generate(number, seed=1)
    fit = rounding.fit(problem, n_threads=1)
    assert fit.is_canonical_
    rng = np.random.default_rng(2)
    rows, columns = (rng.permutation(n) for n in problem.X.shape)
    problem.X, problem.y = problem.X[np.ix_(rows, columns)], problem.y[rows]
    other = rounding.fit(problem, n_threads=1)
    np.testing.assert_array_equal(other.coef_, fit.coef_[:, columns])
    np.testing.assert_array_equal(other.intercept_, fit.intercept_)


@pytest.mark.parametrize("fit", [LinearRegression, LogisticRegression])
def test_of_floats_no_fit_is_canonical(X, y, fit, caplog):
    """Their means and standard deviations depend on the processor."""
    assert fit().fit(X, y).is_canonical_
    assert not fit().fit(X.astype(float), y).is_canonical_
    assert not caplog.text


def test_an_error_of_least_squares_near_the_step_is_warned_of(X, y, monkeypatch, caplog):
    monkeypatch.setattr(least_squares, "ROUNDING", 1e-6)
    assert not LinearRegression().fit(X, y).is_canonical_
    assert "another processor may give other coefficients" in caplog.text


def test_each_iteration_is_reported_and_the_objective_falls(X, y):
    seen = []
    model = LogisticRegression(callback=lambda *state: seen.append(state)).fit(X, y)
    iterations, objectives, gaps = zip(*seen, strict=True)
    assert iterations == tuple(range(1, model.n_iter_ + 1))
    assert np.all(np.diff([f.sum() for f in objectives]) <= 1e-6 * objectives[0].sum())
    assert gaps[-1] <= model.gap_ <= 1e-8  # rounding adds to it


def test_scikit_learn_can_clone_and_change_it():
    model = clone(LogisticRegression(C=3.0)).set_params(tol=1e-3)
    assert (model.C, model.tol) == (3.0, 1e-3)
    assert clone(LinearRegression(n_threads=1)).n_threads == 1


class InOrder:
    """A pool that runs everything in the calling thread."""

    map = staticmethod(map)


def matrix_of(X, y=None, **options):
    """Return the standardised matrix of X, and its segments."""
    rows = LocalRows(X, np.zeros(len(X)) if y is None else y, InOrder())
    return StandardizedMatrix(rows, **options), rows.segments


@pytest.mark.parametrize("n_samples", [1, 119, 120, 121, 2000, 120 * 16 * 2, 25_007])
def test_segments_are_whole_blocks_and_depend_on_the_number_of_rows_alone(n_samples):
    ends = borders(n_samples)
    sizes = np.diff(ends)
    assert ends[0] == 0
    assert ends[-1] == n_samples
    assert len(sizes) in {2**i for i in range(7)}
    assert (sizes[:-1] % BLOCK_ROWS == 0).all()
    assert sizes.max() - sizes.min() < 2 * BLOCK_ROWS


@pytest.mark.parametrize("n_parts", [1, 2, 3, 5, 11])
@pytest.mark.parametrize("n_leaves", [1, 2, 11, 16])
def test_a_sum_does_not_depend_on_what_was_added_where(n_leaves, n_parts):
    values = np.random.default_rng(0).normal(size=(n_leaves, 5)) * 10.0 ** np.arange(5)
    whole = TreeSum()
    for i, value in enumerate(values):
        whole.add(i, 1, (value.copy(), value[0]))
    merged = TreeSum()
    for numbers in np.array_split(np.arange(n_leaves), n_parts):
        part = TreeSum()
        for i in numbers:
            part.add(int(i), 1, (values[i].copy(), values[i, 0]))
        for node in part.nodes():
            merged.add(*node)
    for a, b in zip(whole.total(), merged.total(), strict=True):
        np.testing.assert_array_equal(a, b)


def scores_and_products(segment, weights, R, dtype):
    """Return the scores of all blocks, and the product of R with the segment."""
    every = slice(0, segment.n_blocks)
    Z = scores(segment, every, weights)
    return Z, rmatmul(segment, every, to_blocks(segment, R), dtype)


@pytest.mark.parametrize(
    "n_samples", [1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 5 * BLOCK_ROWS + 7]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_products_are_those_of_the_standardised_matrix(n_samples, dtype):
    X = np.random.default_rng(0).integers(0, 256, (n_samples, 6)).astype(dtype)
    X[:, 2] = 9
    compare_products(X, *matrix_of(X))


@pytest.mark.parametrize("most_copied", [0, 10**9], ids=["not copied", "copied"])
@pytest.mark.parametrize("n_features", [1, 30, 33, 36])
@pytest.mark.parametrize("n_samples", [1, BLOCK_ROWS + 1, 5 * BLOCK_ROWS + 7])
def test_products_with_columns_that_are_nearly_always_0(
    n_samples, n_features, most_copied, monkeypatch
):
    """Such columns are a sparse matrix: at the left, alone, and all of them."""
    monkeypatch.setattr(standardized, "MOST_COPIED", most_copied)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n_samples, n_features)).astype(np.uint8)
    often = np.arange(n_features) >= n_features // 2
    for is_rare in (~often, often, np.ones(n_features, bool)):
        U = X.copy()
        U[:, is_rare] *= rng.random((n_samples, int(is_rare.sum()))) < 0.02
        U[:, -1:] = 7
        matrix, segments = matrix_of(U, is_passed_often=True)
        compare_products(U, matrix, segments)
        if n_samples > 2 * BLOCK_ROWS and n_features > 1:
            assert len(matrix.columns.layout.rare) > n_features // 4
            assert {*segments[-1].kept} > ({"dense"} if most_copied else set())


@pytest.mark.parametrize("kind", ["multinomial", "one_vs_rest"])
def test_sparse_columns_change_no_byte(kind, monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 1500)
    X = np.clip(rng.normal(100 + 20 * y[:, None], 60, (len(y), 24)), 0, 255)
    X = (X * (rng.random(X.shape) < np.where(np.arange(24) < 12, 0.03, 1))).astype(np.uint8)

    def fit():
        model = LogisticRegression(C=0.1, multi_class=kind).fit(X, y)
        assert model.is_canonical_
        return model.coef_.tobytes() + model.intercept_.tobytes()

    with_sparse = fit()
    monkeypatch.setattr(standardized, "MOST_COPIED", 0)
    assert fit() == with_sparse
    monkeypatch.setattr(standardized, "MOST_DENSE", 0)
    assert fit() == with_sparse


def compare_products(X, matrix, segments):
    """Compare all products with those of the standardised matrix."""
    n_samples = len(X)
    A = np.column_stack([standardise(X)[:, matrix.columns.varies], np.ones(n_samples)])
    assert matrix.n_columns == A.shape[1]
    rng = np.random.default_rng(1)
    W, R = rng.normal(size=(3, matrix.n_columns)), rng.normal(size=(n_samples, 3))
    ends = borders(n_samples)
    for precision, atol in ((np.float32, 1e-3), (float, 1e-10)):
        weights, total = matrix.columns.to_raw(W, precision), TreeSum()
        for segment, first, end in zip(segments, ends, ends[1:], strict=False):
            n = end - first
            Z, sums = scores_and_products(segment, weights, R[first:end], precision)
            Z = Z.transpose(0, 2, 1).reshape(-1, 3)[:n]
            np.testing.assert_allclose(Z, A[first:end] @ W.T, atol=atol)
            total.add(segment.number, 1, sums)
            index = np.arange(0, n, 2)
            root = rng.random(len(index)).astype(np.float32)
            F = A[first:end][index] * root[:, None]
            found = weighted_gram(segment.columns, segment.pixels[index], root)
            np.testing.assert_allclose(found, F.T @ F, atol=1e-4 * len(index))
        G = matrix.columns.from_raw(*total.total())
        np.testing.assert_allclose(G, R.T @ A, atol=atol * n_samples)
    np.testing.assert_allclose(matrix.gram(), A.T @ A, atol=1e-9 * n_samples)


def test_mean_and_scale_of_bytes_are_exact():
    X = np.random.default_rng(0).integers(0, 256, (9000, 5)).astype(np.uint8)
    X[:, 0] = 255
    columns = matrix_of(X)[0].columns
    wide = X.astype(object)  # Python's integers, which do not overflow
    n, total, squares = len(X), wide.sum(axis=0), (wide**2).sum(axis=0)
    assert columns.mean.tolist() == [t / n for t in total]
    variance = [(n * q - t * t) / n**2 for q, t in zip(squares, total, strict=True)]
    assert columns.scale.tolist() == [1.0, *np.sqrt(np.array(variance[1:], float))]


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
def test_segments_of_other_sizes_give_the_same_model(multi_class, monkeypatch):
    X, y = data(n_samples=3000)
    expected = LogisticRegression(multi_class=multi_class).fit(X, y)
    for most in (1, 4):
        monkeypatch.setattr(rows, "MAX_SEGMENTS", most)
        model = LogisticRegression(multi_class=multi_class).fit(X, y)
        assert model.is_canonical_
        np.testing.assert_array_equal(model.coef_, expected.coef_)
        np.testing.assert_array_equal(model.intercept_, expected.intercept_)


@pytest.fixture(params=[LogisticLoss, SoftmaxLoss])
def problem(request):
    """Return a problem of 3 classes and a point in float64, away from the optimum."""
    X, y = data(n_samples=700)
    problem = LogisticProblem(matrix_of(X, y)[0], 3, request.param(), 0.5)
    problem.origin()
    coef = np.random.default_rng(5).normal(scale=0.5, size=(3, problem.X.n_columns))
    return problem, problem.go_to(coef)


def test_derivatives_of_the_line_search_match_finite_differences(problem):
    problem, point = problem
    rng = np.random.default_rng(6)
    directions = rng.normal(size=(1, *point.coef.shape))
    problem.look_along(directions[0], 1, float)
    subspace = SubspaceObjective(problem, point, directions)
    weights, step = rng.normal(size=(2, 1, 3))
    at = subspace.evaluate(weights)
    low, high = (subspace.evaluate(weights + h * step) for h in (-1e-5, 1e-5))
    by_problem = step.reshape(1, -1) if problem.loss.coupled else step.T
    slope = (high.objective - low.objective) / 2e-5
    expected = (at.gradient * by_problem).sum(axis=1)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
    change = (high.gradient - low.gradient) / 2e-5
    product = np.einsum("pij,pj->pi", at.hessian, by_problem)
    np.testing.assert_allclose(change, product, rtol=1e-6, atol=1e-6)


def test_a_search_of_two_directions_reaches_the_lowest_point_of_the_plane(problem):
    problem, _ = problem
    point = problem.origin()  # in float32, which keeps the last step
    rng = np.random.default_rng(8)
    first, second = rng.normal(scale=0.02, size=(2, *point.coef.shape))
    if problem.loss.coupled:
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    problem.look_along(first, 1, np.float32)
    one = np.ones((1, 3))
    point = problem.move(one, first)
    weights = minimize(problem, point, [second, first], np.float32)
    coef = first + weights[0][:, None] * second + weights[1][:, None] * first
    if problem.loss.coupled:
        coef = coef - coef.mean(axis=0)
    end = problem.move(weights, coef)
    np.testing.assert_allclose(end.objective, problem.objective(coef), rtol=1e-5)
    for direction in (first, second):
        slope = (end.gradient * direction).sum(axis=1)
        np.testing.assert_allclose(slope, 0, atol=1e-2 * abs(point.gradient).max())


def test_the_gradient_matches_finite_differences(problem):
    problem, point = problem
    step = np.random.default_rng(7).normal(size=point.coef.shape)
    sums = problem.look_along(step, 1, float)
    at = SubspaceObjective(problem, point, [step]).first(sums)
    products = (point.gradient * step).sum(axis=1)
    np.testing.assert_allclose(at.gradient.ravel(), products, rtol=1e-9)


def test_hessian_products_match_finite_differences(problem):
    problem, point = problem
    step = np.random.default_rng(7).normal(size=point.coef.shape)
    product = problem.hessian_product(step, float)
    low, high = (problem.go_to(point.coef + h * step) for h in (-1e-5, 1e-5))
    change = (high.gradient - low.gradient) / 2e-5
    np.testing.assert_allclose(product, change, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_sampled_hessian_is_near_the_exact_one(dtype):
    """In each direction within a factor of 2, from a tenth of the rows."""
    X, y = data(n_samples=40_000, n_classes=3)
    matrix, _ = matrix_of(X[:, :5].astype(dtype), y)
    problem = LogisticProblem(matrix, 3, SoftmaxLoss(), 0.5)
    problem.origin()
    coef = np.zeros((3, matrix.n_columns))
    coef[:, -1] = [1.0, 0.0, -1.0]
    p = softmax(coef[:, -1])  # of all samples, by the intercepts
    problem.go_to(coef)
    preconditioner = SharedBlock(cholesky(0.1 * matrix.gram()))
    sampler = HessianSampler(problem)
    grams = sampler.grams([0, 2], preconditioner)
    weights = [p[c] * (1 - p[c]) for c in (0, 2)]
    exact = 0.5 * matrix.gram()
    for gram, weight in zip(grams, weights, strict=True):
        ratios = eigvalsh(gram, weight * exact)
        assert 0.5 < ratios.min() <= ratios.max() < 2
    assert sampler.n_rows == int(3500 * 1.05)


def test_a_hessian_is_the_same_whether_rows_or_sums_come_together(monkeypatch):
    X, y = data(n_samples=20_000, n_classes=3)
    found = []
    for most_sent in (10**6, 0):
        monkeypatch.setattr(hessian_sampling, "MOST_SENT", most_sent)
        matrix, _ = matrix_of(X[:, :5], y)
        problem = LogisticProblem(matrix, 3, SoftmaxLoss(), 0.5)
        problem.origin()
        preconditioner = SharedBlock(cholesky(0.1 * matrix.gram()))
        found.append(list(HessianSampler(problem).grams([0, 1, 2], preconditioner)))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-2)


def test_an_update_of_rounding_changes_no_search_direction():
    """A problem that has converged goes on with the others, and its steps are rounding."""
    X, y = data(n_samples=600, n_classes=3)
    matrix, _ = matrix_of(X[:, :4], y)
    problem = LogisticProblem(matrix, 3, LogisticLoss(), 1.0)
    preconditioner = SharedBlock(cholesky(matrix.gram() + np.eye(matrix.n_columns)))
    rng = np.random.default_rng(0)
    gradient, step = rng.normal(size=(2, 3, matrix.n_columns))
    change = 2 * step
    step[1], change[1] = 1e-7 * step[1], -1e-9 * step[1]  # not convex
    change[2] = step[2] / 10  # less curvature than the penalty has
    history = logistic._LbfgsHistory(problem)
    history.append(step, change)
    without, with_update = (
        each.solve(gradient, preconditioner)
        for each in (logistic._LbfgsHistory(problem), history)
    )
    assert (with_update[1:] == without[1:]).all()
    assert not np.allclose(with_update[0], without[0])
    np.testing.assert_allclose(history.solve(change, preconditioner)[0], step[0])


def test_about_as_many_rows_are_drawn_as_wanted():
    importance = np.random.default_rng(0).exponential(size=20_000) ** 4
    importance = (importance / importance.sum()).astype(np.float32)
    bucket = importance.view(np.int32) >> hessian_sampling.BUCKET_SHIFT
    count = np.bincount(bucket, minlength=hessian_sampling.N_BUCKETS)
    total = np.bincount(bucket, importance, hessian_sampling.N_BUCKETS)
    scale = hessian_sampling._probability_scale(count, total, 4000)
    assert np.minimum(1, scale * importance).sum() == pytest.approx(4000, rel=0.03)


FIT = """
import json, pathlib, sys
from digits.data import dataset
from digits.solvers.logistic import LogisticRegression
subset = pathlib.Path("data/subsets/digits")
train, test = (dataset.load_split(subset / split) for split in ("train", "test"))
kind, dtype, n_threads, tol = json.loads(sys.argv[1])
model = LogisticRegression(multi_class=kind, tol=tol, n_threads=n_threads)
model.fit(train.images.astype(dtype), train.labels)
Z = model.decision_function(test.images.astype("float32" if dtype == "float32" else float))
print(json.dumps(Z.argmax(axis=1).tolist()))
"""


@pytest.mark.hard
@pytest.mark.results
@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
def test_no_thread_precision_or_kernel_changes_a_prediction_on_mnist(multi_class):
    def predictions(dtype, n_threads, tol, kernel):
        options = json.dumps([multi_class, dtype, n_threads, tol])
        command = [sys.executable, "-c", FIT, options]
        environment = os.environ | {"OPENBLAS_CORETYPE": kernel}
        output = subprocess.check_output(command, cwd=ROOT, env=environment)
        return np.array(json.loads(output))

    best = predictions("uint8", 2, 1e-10, "Haswell")
    for dtype, n_threads, tol, kernel in (
        ("uint8", 1, 1e-10, "Sandybridge"),
        ("uint8", 2, 1e-8, "Haswell"),
        ("float32", 2, 1e-8, "Haswell"),
        ("float64", 2, 1e-8, "Sandybridge"),
    ):
        other = predictions(dtype, n_threads, tol, kernel)
        assert (other == best).all(), (dtype, n_threads, tol, kernel)


def test_a_tol_that_float64_cannot_resolve_gives_a_finite_model():
    random = np.random.default_rng(0)
    X = random.integers(0, 256, (300, 30)).astype(np.uint8)
    model = LogisticRegression(C=0.01, tol=1e-24).fit(X, X[:, 0] > 127)
    assert np.isfinite(model.coef_).all()
    assert model.gap_ < 1e-14
