"""The intervals of results."""

import pytest

from digits import certainty


@pytest.mark.parametrize(
    ("right", "n", "expected"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion: comparison of
        # seven methods, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_equals_newcombes_table(right, n, expected):
    assert certainty.wilson(right, n) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("n", [1, 3, 10, 2115, 10000])
def test_wilson_reaches_0_and_1_and_is_symmetric(n):
    none, all_right = certainty.wilson(0, n), certainty.wilson(n, n)
    z = 1.959963984540054  # the normal distribution's 97.5 % quantile
    assert none[0] == 0.0
    assert none[1] == pytest.approx(z**2 / (n + z**2))
    assert all_right == pytest.approx((1 - none[1], 1.0))
    assert all_right[1] == 1.0


def test_wilson_at_other_levels_is_narrower_or_wider():
    narrow, usual, wide = (certainty.wilson(70, 100, level) for level in (0.8, 0.95, 0.99))
    assert wide[0] < usual[0] < narrow[0] < 0.7 < narrow[1] < usual[1] < wide[1]
