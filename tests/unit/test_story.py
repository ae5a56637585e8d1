"""The numbers with which the report page answers its sections' questions."""

from dataclasses import replace

import numpy as np
import pytest

from digits import certainty
from digits.report import story
from tests.helpers.pages import result


def with_right(each, name, right):
    """Return a variant of this name that is right on some of its first images."""
    predicted = np.where(right, each.actual, (each.actual + 1) % 3).astype(np.uint8)
    return replace(each, name=name, predicted=predicted)


def test_levels_ascend_from_0_and_are_short_decimals():
    assert story.LEVELS[0] == 0
    assert (np.diff(story.LEVELS) > 0).all()
    assert {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999} <= {*story.LEVELS}
    assert all(len(repr(level)) <= 7 for level in story.LEVELS)
    assert len(story.LEVELS) < 256


def test_a_prediction_reaches_the_levels_up_to_its_probability(tiny):
    each = result("a", "softmax", (0, 1, 2), tiny.test)
    chances = np.array([0.9, 0.8999999, 0.99999, 1 - 1e-9, 0.45])
    scores = np.log(np.column_stack([chances, (1 - chances) / 2, (1 - chances) / 2]))
    each = replace(each, scores=scores)
    reached = np.array(story.LEVELS)[story.sureness(each)]
    assert reached.tolist() == [0.9, 0.85, 0.99999, 0.99999, 0.45]
    assert story.sureness(each).dtype == np.uint8


def test_one_versus_rest_is_as_certain_as_its_own_model(tiny):
    each = result("a", "one_vs_rest", (0, 1, 2), tiny.test)
    log_odds = np.array([[0.0, -9, -9], [-5, -9, -9], [np.log(19), 3, 3]])
    reached = np.array(story.LEVELS)[story.sureness(replace(each, scores=log_odds))]
    assert reached.tolist() == [0.5, 0, 0.95]  # 1 / (1 + e^5) is below 0.1


def test_a_variant_without_probabilities_is_not_certain(tiny):
    with pytest.raises(TypeError, match="no probabilities"):
        story.sureness(result("a", "threshold", (0, 1), tiny.test))


def test_outputs_outside_the_class_indices_are_counted(tiny):
    each = result("a", "threshold", (2, 5, 7), tiny.test)
    scores = np.array([[-0.1], [0.0], [2.0], [2.1], [1.0]])
    assert story.n_outside(replace(each, scores=scores)) == 2


def test_variants_are_ranked_and_compared_within_their_classes(tiny):
    each = result("some", "softmax", (0, 1, 2), tiny.test)
    n = len(each.actual)
    place = np.arange(n)
    results = [
        with_right(each, "low", place < 3),
        result("pair", "softmax", (0, 1), tiny.test),
        with_right(each, "high", place >= 1),
        with_right(each, "middle", place < n - 2),
    ]
    rows = story.ranking(results)
    assert [(row["better"], row["other"]) for row in rows] == [
        ("high", "middle"),
        ("middle", "low"),
    ]
    assert [row["only"] for row in rows] == [[2, 1], [n - 5, 0]]
    assert rows[0]["difference"] == round(1 / n, 6)
    low, high = certainty.difference_interval(1, 2, n)
    assert rows[0]["interval"] == pytest.approx([low, high], abs=1e-6)
    expected = certainty.holm([certainty.mcnemar(2, 1), certainty.mcnemar(n - 5, 0)])
    assert [row["p"] for row in rows] == pytest.approx(expected, rel=1e-3)
    assert story.only_right(results[0], results) == {
        "high": [1, n - 3],
        "middle": [0, n - 5],
    }


def test_images_that_all_misclassify_are_those_of_the_variants_with_most_classes(tiny):
    each = result("some", "softmax", (0, 1, 2), tiny.test)
    place = np.arange(len(each.actual))
    pair = result("pair", "softmax", (0, 1), tiny.test)
    results = [with_right(each, "a", place > 4), with_right(each, "b", place < 2), pair]
    assert story.n_wrong_for_all(results) == 3
