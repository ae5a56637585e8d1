"""The best thresholds, compared with all thresholds that there are."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.models.decision import Threshold
from digits.thresholds import best_thresholds


def n_right(thresholds, scores, actual):
    predicted = Threshold().predict(scores[:, None], tuple(thresholds))
    return int((predicted == actual).sum())


def most_right(scores, actual, n_classes):
    """Return the best count of all cuts between sorted scores, tried one by one."""
    distinct = np.unique(scores)
    cuts = [-np.inf, *distinct]  # a score equal to the threshold is below it
    every = combinations_with_replacement(cuts, n_classes - 1)
    return max(n_right(thresholds, scores, actual) for thresholds in every)


@st.composite
def problems(draw):
    n_classes = draw(st.integers(2, 4))
    score = draw(
        st.sampled_from(
            [
                st.integers(0, 4).map(float),  # many ties
                st.integers(-20, 20).map(lambda i: i / 8),
                st.floats(-1e3, 1e3).map(lambda x: round(x, 6)),
                st.integers(-20, 20).map(lambda i: i * 1e-12),
                st.integers(-20, 20).map(lambda i: i * 1e15),
            ]
        )
    )
    rows = draw(
        st.lists(st.tuples(score, st.integers(0, n_classes - 1)), min_size=1, max_size=9)
    )
    scores, actual = map(np.array, zip(*rows, strict=True))
    return scores, actual, n_classes


@given(problems())
def test_no_other_thresholds_are_better(problem):
    scores, actual, n_classes = problem
    thresholds, right = best_thresholds(scores, actual, n_classes)
    assert len(thresholds) == n_classes - 1
    assert (np.diff(thresholds) > 0).all()
    assert np.isfinite(thresholds).all()
    assert right == n_right(thresholds, scores, actual) == most_right(*problem)


@given(problems(), st.randoms())
def test_the_order_of_the_images_does_not_matter(problem, random):
    scores, actual, n_classes = problem
    order = random.sample(range(len(scores)), len(scores))
    assert best_thresholds(scores[order], actual[order], n_classes) == (
        best_thresholds(scores, actual, n_classes)
    )


@pytest.mark.parametrize(
    ("scores", "actual", "n_classes", "expected"),
    [
        ([0.1, 0.9], [0, 1], 2, ((0.5,), 2)),
        ([0.4999, 0.5002], [0, 1], 2, ((0.5,), 2)),
        ([0.41, 0.42], [0, 1], 2, ((0.415,), 2)),
        ([0.0, 0.1], [0, 1], 2, ((0.05,), 2)),  # not 0.1, which would be class 0
        ([0.0, 5.0], [0, 1], 2, ((3.0,), 2)),  # of 1, 2, 3 and 4
        ([1.0, 1.0, 1.0], [0, 1, 1], 2, ((0.0,), 2)),  # equal scores stay together
        ([0.0, 1.0], [0, 2], 3, ((0.3, 0.7), 2)),  # class 1 is skipped
        ([0.0, 1.0], [1, 2], 3, ((-1.0, 0.5), 2)),  # class 0 is skipped
        ([0.0, 1.0], [0, 1], 3, ((0.5, 3.0), 2)),  # class 2 is skipped
        ([5.0], [1], 4, ((3.0, 7.0, 9.0), 1)),
        ([0.0, 1.0], [1, 0], 2, ((-1.0,), 1)),  # both choices are right once: the lowest
        ([0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1], 2, ((0.5,), 3)),  # not 2.5
        # neighbouring floats are not separated
        ([1.0, np.nextafter(1.0, 2.0)], [0, 1], 2, ((0.0,), 1)),
    ],
)
def test_thresholds_are_short_and_chosen_by_the_rule(scores, actual, n_classes, expected):
    assert best_thresholds(np.array(scores), np.array(actual), n_classes) == expected


def test_ten_classes_as_many_as_mnist_has():
    rng = np.random.default_rng(0)
    actual = rng.integers(0, 10, 60_000)
    scores = actual + rng.normal(0, 0.2, 60_000)
    thresholds, right = best_thresholds(scores, actual, 10)
    assert thresholds == pytest.approx(np.arange(9) + 0.5, abs=0.05)
    assert right == n_right(thresholds, scores, actual)
    assert right >= n_right(np.arange(9) + 0.5, scores, actual)
