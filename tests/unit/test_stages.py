from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import StandardScaler

from digits.config import params
from digits.config.params import Subset
from digits.data import dataset, mirrors
from digits.data.dataset import Dataset
from digits.errors import InputError
from digits.figures import sample_grid
from digits.models import preprocessing, serialization
from digits.models.decision import RULES, Threshold
from digits.models.training_log import TrainingLog
from digits.solvers import least_squares
from stages import download, evaluate, filter, train  # noqa: A004 (the name of the stage)
from tests.helpers.project import PARAMS, generate, options


def logistic(model):
    return options(model, C=1.0, max_iter=1000, tol=1e-6)


LINEAR = options("linear_regression")


def test_filter_keeps_every_image_of_the_classes_and_no_other(tiny):
    kept = filter.keep_classes(tiny, (8, 3))
    assert [len(split.labels) for split in kept.splits.values()] == [60, 24]
    assert set(kept.train.labels) == {3, 8}


def test_filter_refuses_a_class_without_training_images(tiny):
    without = Dataset(dataset.select(tiny.train, tuple(range(9))), tiny.test)
    with pytest.raises(InputError, match=r"no training image of 9"):
        filter.keep_classes(without, (0, 9))


def test_all_classes_are_those_of_both_splits(tiny):
    without = Dataset(dataset.select(tiny.train, tuple(range(9))), tiny.test)
    subset = Subset(classes="all")
    with pytest.raises(InputError, match=r"no training image of 9, so no model"):
        filter.keep_classes(without, filter.subset_labels(subset, without))


def test_filter_refuses_a_subset_without_test_images(tiny):
    without = Dataset(tiny.train, dataset.select(tiny.test, (2,)))
    with pytest.raises(InputError, match=r"no test image of 0, 1"):
        filter.keep_classes(without, (1, 0))


@pytest.mark.parametrize(
    ("subset", "labels"),
    [
        ({"classes": [8, 3]}, (8, 3)),
        ({"classes": ["9", "0"]}, (9, 0)),
        ({"classes": "all"}, tuple(range(10))),
    ],
)
def test_a_subset_is_labels_names_or_all(tiny, subset, labels):
    assert filter.subset_labels(Subset.model_validate(subset), tiny) == labels


@pytest.mark.parametrize(
    ("subset", "expected"),
    [
        ({"classes": [0, 99]}, "classes: must be from 0 to 2 for this data, got 99"),
        ({"classes": ["cat", "dig"]}, "classes: .* no class 'dig'; did you mean 'dog'?"),
    ],
)
def test_a_subset_of_unknown_classes_is_refused(tiny, subset, expected):
    named = replace(tiny, names=("cat", "dog", "bird"))
    with pytest.raises(InputError, match=expected):
        filter.subset_labels(Subset.model_validate(subset), named)


def test_your_own_file_must_be_mnist_if_it_is_named_so(tmp_path, tiny):
    np.savez(tmp_path / "own.npz", x_train=tiny.train.images, y_train=tiny.train.labels,
             x_test=tiny.test.images, y_test=tiny.test.labels)  # fmt: skip
    npz = {"source": "own.npz"}
    custom = params.Dataset.model_construct(name="custom", **npz)
    assert download.fetch(custom, tmp_path) is not None
    with pytest.raises(InputError, match=r"own\.npz: x_train is not MNIST's"):
        download.fetch(params.Dataset(name="mnist", **npz), tmp_path)


def test_existing_data_is_used_only_with_its_names(tmp_path, as_mnist):
    dataset.save(tmp_path, as_mnist)
    assert download.load_existing("mnist", tmp_path) is not None
    dataset.save(tmp_path, replace(as_mnist, names=tuple("abcdefghij")))
    assert download.load_existing("mnist", tmp_path) is None


def test_download_uses_the_mirrors_if_the_source_is_auto(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(mirrors, "fetch", lambda _name: tiny)
    block = params.Dataset(name="mnist", source="auto")
    assert download.fetch(block, tmp_path) is tiny


def test_download_draws_test_images_if_the_data_has_none(tmp_path, tiny):
    own = tmp_path / "data/own"
    own.mkdir(parents=True)
    np.savez(own / "a.npz", images=tiny.train.images, labels=tiny.train.labels)
    block = {"name": "custom", "source": "data/own/a.npz", "test_share": 0.3, "seed": 1}
    checked = params.load(PARAMS).model_copy(update={"dataset": params.Dataset(**block)})
    download.main(checked, tmp_path)
    data = dataset.load(tmp_path / "data/raw")
    assert np.bincount(data.train.labels).tolist() == [21] * 10
    assert np.bincount(data.test.labels).tolist() == [9] * 10


def test_the_figures_show_training_images(tmp_path, tiny, monkeypatch):
    shown = []
    monkeypatch.setattr(mirrors, "fetch", lambda _name: tiny)
    monkeypatch.setattr(
        sample_grid,
        "draw",
        lambda _path, _images, labels, _names: shown.append(labels),
    )
    checked = params.load(PARAMS)
    download.main(checked, tmp_path)
    filter.main(checked, "binary", tmp_path)
    assert [len(labels) for labels in shown] == [300, 60]


@pytest.mark.parametrize(
    ("model", "digits", "n_outputs"),
    [
        ("linear_regression", (3, 8), 1),
        ("logistic_regression", (3, 8), 1),
        ("multinomial_logistic", (3, 8), 2),
        ("linear_regression", (1, 3, 8), 1),
        ("one_vs_rest_logistic", (1, 3, 8), 3),
        ("multinomial_logistic", (1, 3, 8), 3),
    ],
)
def test_a_variant_learns_its_classes(tiny, model, digits, n_outputs):
    data = filter.keep_classes(tiny, digits)
    fitted = train.train(
        data.train, LINEAR if model == "linear_regression" else logistic(model)
    )
    assert fitted.coef.shape == (n_outputs, 64)
    assert fitted.classes.tolist() == list(digits)
    thresholds = tuple(i + 0.5 for i in range(len(digits) - 1))
    scores = fitted.scores(data.test.images)
    predicted = fitted.classes[fitted.decision.predict(scores, thresholds)]
    assert np.mean(predicted == data.test.labels) > 0.9


@pytest.mark.parametrize("solver", ["fast", "scikit_learn"])
def test_the_softmax_of_two_classes_is_at_its_own_optimum(tiny, solver):
    """For two classes the solvers fit one problem, with a different penalty."""
    data = filter.keep_classes(tiny, (3, 8))
    block = options("multinomial_logistic", C=0.3, max_iter=1000, tol=1e-10, solver=solver)
    fitted = train.train(data.train, block)
    scores = fitted.scores(data.train.images)
    p = np.exp(fitted.decision.log_probabilities(scores))
    member = data.train.labels[:, None] == fitted.classes
    X = (data.train.images.reshape(-1, 64) - fitted.mean) / fitted.scale
    gradient = 0.3 * (p - member).T @ X + fitted.coef
    np.testing.assert_allclose(gradient, 0, atol=1e-3)
    assert np.abs(fitted.coef).max() > 0.01


def test_the_linear_variant_is_the_notebooks_computation(tiny, monkeypatch):
    monkeypatch.setattr(least_squares, "MOST_MOVE", 1e-26)  # without rounding
    noisy = filter.keep_classes(generate(200, 200, seed=5), (3, 8))
    fitted = train.train(noisy.train, LINEAR)
    scaler = StandardScaler()
    X = scaler.fit_transform(noisy.train.images.reshape(-1, 64).astype(float))
    line = LinearRegression().fit(X, noisy.train.labels == 8)
    expected = line.predict(
        scaler.transform(noisy.test.images.reshape(-1, 64).astype(float))
    )
    np.testing.assert_allclose(fitted.scores(noisy.test.images)[:, 0], expected, atol=1e-9)
    decided = Threshold().predict(fitted.scores(noisy.test.images), (0.49,))
    np.testing.assert_array_equal(
        confusion_matrix(noisy.test.labels == 8, decided),
        confusion_matrix(noisy.test.labels == 8, expected > 0.49),
    )


def test_training_twice_gives_the_same_bytes(tmp_path, tiny):
    for name in "ab":
        fitted = train.train(tiny.train, logistic("multinomial_logistic"))
        serialization.save(fitted, tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_saved_model_scores_as_the_fitted_one(tmp_path, tiny):
    fitted = train.train(tiny.train, LINEAR)
    serialization.save(fitted, tmp_path / "model.npz")
    loaded = serialization.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(
        loaded.scores(tiny.test.images), fitted.scores(tiny.test.images)
    )


def test_a_preprocessed_variant_predicts_on_preprocessed_images(tmp_path, tiny):
    block = options("linear_regression", preprocess="deskew")
    serialization.save(train.train(tiny.train, block), tmp_path / "model.npz")
    upright = preprocessing.deskew(tiny.train.images)
    plain = train.train(tiny.train._replace(images=upright), LINEAR)
    np.testing.assert_array_equal(
        serialization.load(tmp_path / "model.npz").scores(tiny.train.images),
        plain.scores(upright),
    )


@pytest.mark.parametrize("solver", ["fast", "scikit_learn"])
@pytest.mark.parametrize(
    "name",
    [
        "linear_regression",
        "logistic_regression",
        "one_vs_rest_logistic",
        "multinomial_logistic",
    ],
)
def test_every_solver_records_its_training(tiny, name, solver):
    data = filter.keep_classes(tiny, (3, 8))
    linear = name == "linear_regression"
    options = LINEAR if linear else logistic(name)
    training_log = TrainingLog()
    train.train(data.train, options.model_copy(update={"solver": solver}), training_log)
    measures = [measure for _, measure, _, _ in training_log.rows]
    assert measures == (["mean squared error"] if linear else ["log-loss", "accuracy"])
    assert all(np.isfinite(value) for *_, value in training_log.rows)


def test_the_mean_squared_error_is_that_of_the_scores(tiny):
    for solver in ("fast", "scikit_learn"):
        training_log = TrainingLog()
        options = LINEAR.model_copy(update={"solver": solver})
        fitted = train.train(tiny.train, options, training_log)
        mse = np.mean((fitted.scores(tiny.train.images)[:, 0] - tiny.train.labels) ** 2)
        assert training_log.rows == [
            (1, "mean squared error", "training", pytest.approx(mse))
        ]


def test_the_drawn_margins_span_nearly_all_mistakes():
    """Of a good model, all of them are outside the central 99 %."""
    rng = np.random.default_rng(0)
    scores = np.column_stack([rng.uniform(5, 9, 10_000), np.zeros(10_000)])
    scores[:40, 0] = np.linspace(-4, -0.1, 40)
    actual = np.zeros(10_000, int)
    kept = evaluate.score_histogram(RULES["softmax"], scores, actual, 2, ())
    drawn = evaluate.drawn_histogram(scores, actual, 2)
    assert kept.edges[0] == 0
    assert drawn.edges[0] == -3.8  # 38 of the 40 mistakes are above
    assert drawn.counts.sum() == kept.counts.sum() == 10_000


def test_mistakes_are_listed_by_image_with_the_names_of_the_classes(tmp_path):
    actual, predicted = np.array([0, 2, 1, 2]), np.array([0, 1, 1, 0])
    path = tmp_path / "mistakes.csv"
    evaluate.write_mistakes(path, actual, predicted, ("cat", "dog, old", "7"))
    assert path.read_text() == 'image,actual,predicted\n1,7,"dog, old"\n3,7,cat\n'
    evaluate.write_mistakes(path, actual, actual, ("cat", "dog, old", "7"))
    assert path.read_text() == "image,actual,predicted\n"
