"""Grids: rounding to them, and sums without rounding errors."""

from fractions import Fraction

import numpy as np
import pytest

from digits import grid


def test_snapping_is_rounding():
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000) * 10.0 ** rng.integers(-6, 6, 1000)
    values[:4] = 0.5, 1.5, -1e-9, -0.5
    for step in (2.0**-18, 1.0, 2.0**8):
        snapped = grid.snap(values.copy(), step)
        assert snapped.tobytes() == grid.round_to(values, step).tobytes()


@pytest.mark.parametrize("limit", [0.3, 0.5, 1.0, 3.9, 1e-200])
def test_the_power_of_two_below_a_limit(limit):
    power = grid.power_of_two(limit)
    assert power <= limit < 2 * power
    assert np.frexp(power)[0] == 0.5


def test_a_residual_is_the_exact_one_rounded_once():
    """Also where it is far smaller than the products that it is made of."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(8, 40)) * 2.0 ** rng.integers(-12, 12, (8, 40))
    X = rng.normal(size=(40, 3)) * 2.0 ** rng.integers(-12, 12, (40, 3))
    B = A @ X
    products = [
        [
            [Fraction(a) * Fraction(x) for a, x in zip(row, column, strict=True)]
            for column in X.T
        ]
        for row in A
    ]
    exact = [
        [float(Fraction(b) - sum(terms)) for b, terms in zip(*both, strict=True)]
        for both in zip(B, products, strict=True)
    ]
    residual = grid.residual(A, X, B)
    np.testing.assert_array_equal(residual, exact)
    assert 0 < np.abs(residual).max() < 1e-12 * np.abs(B).max()


def test_a_grid_hides_an_error_unless_a_value_is_near_a_boundary():
    assert grid.is_settled(np.array([0.1, -1.2]), 1.0, 0.2)
    assert not grid.is_settled(np.array([0.1, -1.4]), 1.0, 0.2)
    assert grid.is_settled(np.array([0.1, -1.4]), 1.0, np.array([0.3, 0.05]))
