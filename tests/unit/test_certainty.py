"""The intervals of results, and tests of their differences."""

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from scipy import stats

from digits import certainty

# (only A right, only B right, images)
COUNTS = [(0, 1, 2115), (1, 12, 2115), (134, 170, 10000), (192, 200, 10000), (0, 0, 50),
          (3, 0, 3), (25, 25, 50)]  # fmt: skip


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


@pytest.mark.parametrize(("only_a", "only_b", "n"), COUNTS)
def test_mcnemar_is_the_probability_of_a_split_as_uneven(only_a, only_b, n):
    """With whole numbers: the splits that are at least as far from the middle."""
    total, distance = only_a + only_b, abs(only_a - only_b)
    as_uneven = [i for i in range(total + 1) if abs(total - 2 * i) >= distance]
    expected = Fraction(sum(comb(total, i) for i in as_uneven), 2**total)
    assert certainty.mcnemar(only_a, only_b) == float(expected)
    assert certainty.mcnemar(only_b, only_a) == certainty.mcnemar(only_a, only_b)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("right", "n"), [(0, 7), (1, 7), (7, 7), (9175, 10000)])
def test_wilson_equals_scipys(right, n, level):
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    assert certainty.wilson(right, n, level) == pytest.approx(tuple(expected), rel=1e-12)


def test_models_that_differ_on_no_image_are_not_different():
    assert certainty.mcnemar(0, 0) == 1.0


def test_the_difference_equals_agrestis_example():
    """Of 1600 voters, 150 stopped approving of a politician, and 86 began to.

    Agresti, Categorical Data Analysis, 2nd edition (2002), table 10.1: the change is -0.04,
    the interval -0.06 to -0.02, without the correction, which is small here.
    """
    low, high = certainty.difference_interval(150, 86, 1600)
    assert (round(low, 2), round(high, 2)) == (-0.06, -0.02)


@pytest.mark.parametrize(("only_a", "only_b", "n"), COUNTS)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_the_difference_is_walds_interval_with_half_an_image_more(only_a, only_b, n, level):
    """As the mean of +1 for each image of B, -1 for each of A, and 0 for the others."""
    values = np.repeat([1.0, -1.0, 0.0], [2 * only_b + 1, 2 * only_a + 1,
                                          2 * (n - only_a - only_b) + 2])  # fmt: skip
    margin = stats.norm.ppf((1 + level) / 2) * values.std() / sqrt(n + 2)
    low, high = values.mean() - margin, values.mean() + margin
    expected = (max(low, -1), min(high, 1))
    found = certainty.difference_interval(only_a, only_b, n, level)
    assert found == pytest.approx(expected, abs=1e-12)
    assert -1 <= found[0] < (only_b - only_a) / n <= 1 or only_b == 0
    assert found[0] < found[1]


def test_holm_multiplies_by_the_number_of_those_that_are_left():
    """0.01 · 4, 0.02 · 3; 0.03 · 2 and 0.035 · 1 do not fall below the one before."""
    expected = [pytest.approx(p) for p in (0.06, 0.04, 0.06, 0.06)]
    assert certainty.holm([0.03, 0.01, 0.035, 0.02]) == expected
    assert certainty.holm([0.6, 0.7]) == [1.0, 1.0]
    assert certainty.holm([0.04]) == [0.04]
    assert certainty.holm([]) == []


def losses(n_samples, seed=0):
    rng = np.random.default_rng(seed)
    losses_a = rng.exponential(0.3, n_samples)
    return losses_a, losses_a + rng.normal(0.01, 0.1, n_samples)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_log_loss_is_resampled_in_pairs(level):
    """For the mean of many images, the percentiles are about those of the normal one."""
    losses_a, losses_b = losses(2000)
    d = losses_b - losses_a
    expected = stats.norm.interval(level, d.mean(), d.std() / sqrt(len(d)))
    found = certainty.log_loss_interval(losses_a, losses_b, level)
    assert found == pytest.approx(expected, abs=0.05 * (expected[1] - expected[0]))
    assert certainty.log_loss_interval(losses_b, losses_a, level) == tuple(
        pytest.approx(-end, abs=0.05 * (expected[1] - expected[0])) for end in found[::-1]
    )


def test_the_log_loss_equals_scipys_paired_bootstrap():
    losses_a, losses_b = losses(100)
    result = stats.bootstrap(
        (losses_a, losses_b),
        lambda a, b, axis: (b - a).mean(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    expected = [round(float(end), 6) for end in result.confidence_interval]
    found = certainty.log_loss_interval(losses_a, losses_b)
    assert found == pytest.approx(expected, abs=1.1e-6)


@pytest.mark.slow
def test_the_log_loss_depends_on_no_last_bit_and_on_no_batch(monkeypatch):
    losses_a, losses_b = losses(500)
    expected = certainty.log_loss_interval(losses_a, losses_b)
    noise = np.random.default_rng(1).integers(-4, 5, 500) * np.spacing(losses_b)
    monkeypatch.setattr(certainty, "MOST_PER_BATCH", 700)
    assert certainty.log_loss_interval(losses_a, losses_b + noise) == expected
    assert certainty.log_loss_interval(losses_a, losses_b, seed=1) != expected
    assert certainty.log_loss_interval(losses_a, losses_a) == (0.0, 0.0)


def verdicts(n_pairs, error_a, error_b, seed):
    """Return which of two simulated models is found to be the better one, in each pair.

    Errors are correlated, as those of real models: images differ in their difficulty.
    """
    rng = np.random.default_rng(seed)
    difficulty = rng.beta(0.2, 1.8, 2000)  # 0.1 on average
    scale = difficulty / difficulty.mean()
    wrong_a, wrong_b = (
        rng.random((n_pairs, 2000)) < np.minimum(error * scale, 1)
        for error in (error_a, error_b)
    )
    only_a = (wrong_b & ~wrong_a).sum(axis=1).tolist()
    only_b = (wrong_a & ~wrong_b).sum(axis=1).tolist()
    p_values = np.array(
        [certainty.mcnemar(a, b) for a, b in zip(only_a, only_b, strict=True)]
    )
    return np.where(p_values <= 0.05, np.sign(np.subtract(only_b, only_a)), 0)


@pytest.mark.long
def test_equal_models_are_rarely_told_apart():
    """The test is exact, so less than 5 % are wrong on average: 50 of 1,000 ± 3 · 6.9."""
    found = verdicts(1000, 0.08, 0.08, seed=0)
    assert 0 < np.count_nonzero(found) <= 50 + 20


@pytest.mark.long
def test_a_clearly_better_model_is_found():
    assert np.mean(verdicts(200, 0.08, 0.05, seed=0) == 1) > 0.9


@pytest.mark.long
def test_the_interval_of_the_difference_contains_it():
    """As often as its level says: 950 of 1,000 ± 3 · 6.9."""
    rng = np.random.default_rng(0)
    n, p_a, p_b = 500, 0.03, 0.05
    counts = rng.multinomial(n, [p_a, p_b, 1 - p_a - p_b], 1000)[:, :2].tolist()
    intervals = [certainty.difference_interval(a, b, n) for a, b in counts]
    assert 930 <= sum(low <= p_b - p_a <= high for low, high in intervals) <= 970


@pytest.mark.hard
@pytest.mark.parametrize(("only_a", "only_b", "n"), COUNTS)
def test_the_counts_give_the_same_in_statsmodels(only_a, only_b, n):
    from statsmodels.stats import contingency_tables, proportion, weightstats  # noqa: PLC0415 (not in every environment)

    both = n - only_a - only_b
    tested = contingency_tables.mcnemar([[both, only_a], [only_b, 0]], exact=True)
    if only_a or only_b:  # statsmodels returns nan otherwise
        assert certainty.mcnemar(only_a, only_b) == pytest.approx(tested.pvalue, rel=1e-12)
    assert certainty.wilson(both, n) == pytest.approx(
        proportion.proportion_confint(both, n, method="wilson"), abs=1e-12
    )
    # Its variance is divided by n - 1, ours by n, as in the paper; both with 2 images more.
    weights = [only_b + 0.5, only_a + 0.5, both + 1]
    wald = weightstats.DescrStatsW([1, -1, 0], weights)
    middle = wald.mean
    low, high = (
        middle + (end - middle) * sqrt((n + 1) / (n + 2)) for end in wald.zconfint_mean()
    )
    found = certainty.difference_interval(only_a, only_b, n)
    assert found == pytest.approx((max(low, -1), min(high, 1)), abs=1e-12)


@pytest.mark.hard
def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 (as above)

    rng = np.random.default_rng(0)
    for n in (1, 2, 6, 50):
        p_values = (rng.random(n) ** 3).tolist()
        rejected, adjusted, *_ = multipletests(p_values, 0.05, "holm")
        found = certainty.holm(p_values)
        assert found == pytest.approx(adjusted, rel=1e-12)
        assert [p <= 0.05 for p in found] == rejected.tolist()
