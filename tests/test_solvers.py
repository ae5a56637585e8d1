import numpy as np
import pytest

from digits import solvers

OPTIONS = {"C": 0.5, "max_iter": 1000, "tol": 1e-10}


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(1)
    return rng.normal(size=(200, 6)) * [1, 1, 2, 1, 1, 0]  # the last column is constant


@pytest.fixture(scope="module")
def y(X):
    rng = np.random.default_rng(2)
    return np.digitize(X[:, 0] + rng.normal(size=len(X)), [-0.7, 0.7])


def one_hot(y):
    return np.eye(y.max() + 1)[y]


def softmax(Z):
    e = np.exp(Z - Z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def objective(X, y, coef, intercept, C):
    """C · Σ log-loss + ½‖coef‖² of the softmax model, straight from its definition."""
    p = softmax(X @ coef.T + intercept)
    return -C * np.log(p[np.arange(len(y)), y]).sum() + (coef**2).sum() / 2


def test_least_squares_solves_the_normal_equations(X, y):
    coef, intercept = solvers.least_squares(X, y)
    A = np.column_stack([X[:, :5], np.ones(len(X))])
    expected = np.linalg.solve(A.T @ A, A.T @ y)
    np.testing.assert_allclose([*coef[0, :5], *intercept], expected, atol=1e-12)
    assert coef[0, 5] == 0


def test_least_squares_takes_the_smallest_of_many_solutions(X, y):
    doubled = np.column_stack([X, X])
    coef, _ = solvers.least_squares(doubled, y)
    np.testing.assert_allclose(coef[0, :6], coef[0, 6:], atol=1e-12)


def test_at_the_binary_optimum_the_gradient_vanishes(X, y):
    target = y > 0
    coef, intercept = solvers.binary_logistic(X, target, **OPTIONS)
    residual = 1 / (1 + np.exp(-(X @ coef[0] + intercept[0]))) - target
    np.testing.assert_allclose(OPTIONS["C"] * X.T @ residual + coef[0], 0, atol=1e-6)
    assert residual.sum() == pytest.approx(0, abs=1e-6)


def test_at_the_multinomial_optimum_the_gradient_vanishes(X, y):
    coef, intercept = solvers.multinomial_logistic(X, y, **OPTIONS)
    residual = softmax(X @ coef.T + intercept) - one_hot(y)
    np.testing.assert_allclose(OPTIONS["C"] * residual.T @ X + coef, 0, atol=1e-5)
    np.testing.assert_allclose(residual.sum(axis=0), 0, atol=1e-5)


def test_a_step_in_any_direction_leaves_the_multinomial_optimum(X, y):
    coef, intercept = solvers.multinomial_logistic(X, y, **OPTIONS)
    best = objective(X, y, coef, intercept, OPTIONS["C"])
    rng = np.random.default_rng(3)
    for _ in range(20):
        step = 1e-3 * rng.normal(size=coef.shape)
        assert objective(X, y, coef + step, intercept, OPTIONS["C"]) > best


def test_a_one_versus_rest_column_is_its_binary_fit(X, y):
    coef, intercept = solvers.one_vs_rest_logistic(X, y, **OPTIONS)
    for index in range(3):
        alone = solvers.binary_logistic(X, y == index, **OPTIONS)
        np.testing.assert_array_equal(coef[index], alone[0][0])
        np.testing.assert_array_equal(intercept[index], alone[1][0])


def test_the_multinomial_model_of_two_classes_is_at_its_own_optimum(X, y):
    target = (y > 0).astype(int)
    coef, intercept = solvers.multinomial_logistic(X, target, **OPTIONS)
    assert coef.shape == (2, 6)
    residual = softmax(X @ coef.T + intercept) - one_hot(target)
    np.testing.assert_allclose(OPTIONS["C"] * residual.T @ X + coef, 0, atol=1e-6)


@pytest.mark.parametrize(
    "fit",
    [solvers.binary_logistic, solvers.one_vs_rest_logistic, solvers.multinomial_logistic],
)
def test_a_constant_column_gets_no_weight(X, y, fit):
    coef, _ = fit(X, (y > 0).astype(int), **OPTIONS)
    np.testing.assert_array_equal(coef[:, 5], 0)


def test_a_fit_that_is_not_at_the_optimum_says_so_in_a_line(X, y, caplog):
    solvers.multinomial_logistic(X, y, C=0.5, max_iter=2, tol=1e-10)
    assert [record.message for record in caplog.records] == [
        "not at the optimum after max_iter = 2 iterations; raise it"
    ]
