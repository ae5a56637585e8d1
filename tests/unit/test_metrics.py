import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from digits import metrics
from digits.errors import InputError
from digits.models.decision import RULES, Threshold
from stages import evaluate

labels = arrays(
    np.int64, st.shared(st.integers(1, 60), key="n"), elements=st.integers(0, 3)
)


@given(labels, labels)
def test_everything_of_a_confusion_matrix_equals_scikit_learns(actual, predicted):
    counts = metrics.confusion(actual, predicted, 4)
    classes = range(4)
    expected = reference.confusion_matrix(actual, predicted, labels=classes)
    np.testing.assert_array_equal(counts, expected)
    report = metrics.report(counts)
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        actual, predicted, labels=classes, zero_division=0
    )
    np.testing.assert_allclose(report.precision, precision)
    np.testing.assert_allclose(report.recall, recall)
    np.testing.assert_allclose(report.f1, f1)
    np.testing.assert_array_equal(report.support, support)
    scalars = metrics.scalars(counts)
    assert scalars["accuracy"] == pytest.approx(np.mean(actual == predicted))
    assert scalars["errors"] == np.sum(actual != predicted)
    macro = reference.precision_recall_fscore_support(
        actual, predicted, average="macro", zero_division=0
    )
    names = ("precision_macro", "recall_macro", "f1_macro")
    assert [scalars[name] for name in names] == pytest.approx(macro[:3])


def test_classes_that_are_neither_actual_nor_predicted_lower_no_macro_average():
    all_right = metrics.scalars(metrics.confusion(np.array([0, 2]), np.array([0, 2]), 4))
    assert {all_right[f"{name}_macro"] for name in ("precision", "recall", "f1")} == {1.0}


def test_an_absent_class_keeps_its_row_and_column():
    counts = metrics.confusion(np.array([0, 2, 2]), np.array([0, 2, 0]), 3)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]


def test_log_loss_is_that_of_scikit_learn():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], size=30)
    actual = np.arange(30) % 3
    assert metrics.log_loss(np.log(p), actual) == pytest.approx(
        reference.log_loss(actual, p)
    )


def test_rmse_is_the_root_of_the_mean_squared_error():
    assert metrics.rmse(np.array([0.0, 3.0]), np.array([0, 1])) == pytest.approx(2**0.5)


def test_the_order_in_which_values_are_added_changes_no_bit():
    rng = np.random.default_rng(0)
    log_p = np.log(rng.dirichlet(np.ones(23), size=1000))
    actual = rng.integers(0, 23, 1000)
    counts = metrics.confusion(actual, log_p.argmax(axis=1), 23)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(1000)
        classes = order[order < 23]
        assert metrics.log_loss(log_p[order], actual[order]) == metrics.log_loss(
            log_p, actual
        )
        assert metrics.rmse(log_p[order, 0], actual[order]) == metrics.rmse(
            log_p[:, 0], actual
        )
        assert metrics.scalars(counts[np.ix_(classes, classes)]) == metrics.scalars(counts)


def test_the_sweep_agrees_with_a_decision_at_each_threshold():
    rng = np.random.default_rng(0)
    actual = rng.integers(0, 2, 500)
    scores = actual + rng.normal(scale=0.6, size=500)
    sweep = metrics.threshold_sweep(scores, actual)
    assert sweep[:, 0].tolist() == [round(i / 100, 2) for i in range(101)]
    for threshold, *values in sweep[::10]:
        predicted = scores > threshold
        np.testing.assert_allclose(
            values,
            [
                reference.accuracy_score(actual, predicted),
                reference.precision_score(actual, predicted),
                reference.recall_score(actual, predicted),
            ],
        )


def test_a_histogram_counts_every_sample_once_also_outliers():
    scores = np.concatenate([np.linspace(0, 1, 1000), [-50, 50]])
    actual = np.arange(1002) % 3
    histogram = metrics.score_histogram(scores, actual, 4, (0.49,))
    assert histogram.counts.sum(axis=1).tolist() == [334, 334, 334, 0]
    assert histogram.edges[0] >= -0.1
    assert histogram.edges[-1] <= 1.1
    assert len(histogram.edges) == 61


def test_a_histogram_shows_thresholds_beyond_the_scores():
    histogram = metrics.score_histogram(
        np.array([0.5, 0.6]), np.array([0, 1]), 2, (-3.0, 7.0)
    )
    assert histogram.edges[0] <= -3
    assert histogram.edges[-1] >= 7


def test_a_histogram_of_equal_scores_has_wide_bins():
    histogram = metrics.score_histogram(np.zeros(4), np.arange(4) % 2, 2, (0.0,))
    assert np.all(np.diff(histogram.edges) > 0)
    assert histogram.counts.sum() == 4


def test_the_margin_is_positive_exactly_where_the_largest_score_is_right():
    scores = np.random.default_rng(0).normal(size=(200, 5))
    actual = np.arange(200) % 5
    margin = metrics.margin(scores, actual)
    np.testing.assert_array_equal(margin > 0, scores.argmax(axis=1) == actual)
    assert margin[0] == pytest.approx(scores[0, 0] - scores[0, 1:].max())


def test_evaluate_refuses_a_metric_without_a_direction(
    monkeypatch,
):
    actual = np.array([0, 1, 1])
    scores = np.array([[0.1], [0.8], [0.3]])
    counts = metrics.confusion(actual, np.array([0, 1, 0]), 2)
    for decision in RULES.values():
        outputs = scores if decision.has_single_score else np.hstack([-scores, scores])
        written = evaluate.scalars(decision, outputs, actual, counts)
        assert written.keys() <= metrics.METRICS.keys()
    usual = metrics.scalars
    monkeypatch.setattr(
        metrics, "scalars", lambda counts: usual(counts) | {"invented": 0.75}
    )
    with pytest.raises(InputError, match=r"metrics\.py: .* invented; .*@directions"):
        evaluate.scalars(Threshold(), scores, actual, counts)
    monkeypatch.setattr(metrics, "METRICS", dict(metrics.METRICS))

    @metrics.directions(invented="higher")
    def invented():
        """A metric that a contributor adds."""

    assert "invented" in evaluate.scalars(Threshold(), scores, actual, counts)
