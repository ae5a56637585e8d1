"""The regularisation path of the report, compared with scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from digits.data import dataset
from digits.data.dataset import Dataset, Split
from digits.errors import InputError
from digits.report.regularisation import RegularisationPath
from digits.robustness.levels import NEVER
from stages import path
from tests.helpers.project import generate

VALUES = (0.001, 0.1)


@pytest.fixture(scope="module")
def noisy():
    """Images of which none of the models is right about all."""
    data = generate(300, 120)
    rng = np.random.default_rng(1)
    return [
        Split(np.clip(images // 8 + rng.integers(0, 200, images.shape), 0, 255)
              .astype(np.uint8), labels)
        for images, labels in (data.train, data.test)
    ]  # fmt: skip


@pytest.mark.parametrize("classes", [tuple(range(10)), (3, 8)])
def test_errors_log_loss_and_weights_are_scikit_learns(noisy, classes):
    train, test = (dataset.select(split, classes) for split in noisy)
    found = path.follow(train, test, VALUES)
    assert found.C.tolist() == [*VALUES]
    assert found.sizes.tolist() == [len(train.labels)] * 2 + [len(test.labels)] * 2
    for i, C in enumerate(VALUES):
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=C, tol=1e-10, max_iter=9999)
        )
        flat = [split.images.reshape(len(split.images), -1) for split in (train, test)]
        model.fit(flat[0], train.labels)
        for j, split in enumerate((train, test)):
            errors = (model.predict(flat[j]) != split.labels).sum()
            assert found.errors[i, j] == errors > 0
            loss = log_loss(split.labels, model.predict_proba(flat[j]))
            assert found.log_loss[i, j] == pytest.approx(loss, abs=2e-5)
        coef = model[-1].coef_
        sizes = np.abs(coef[np.abs(coef) > 1e-9])
        assert found.limits[i] == pytest.approx(
            np.quantile(sizes, 0.99, method="lower"), rel=1e-3
        )
        shown = found.weights[i] / 127 * found.limits[i]
        cut = np.clip(coef, -found.limits[i], found.limits[i])
        assert shown == pytest.approx(cut, abs=found.limits[i] / 200)
        assert 1 <= found.half_levels[i] < NEVER
    assert found.limits[0] < found.limits[1]
    assert found.errors[0, 0] > found.errors[1, 0]


def test_the_first_images_of_each_class_are_taken_in_their_shares():
    labels = np.array([2] * 60 + [0] * 30 + [1], np.uint8)
    rows = path.some_of_each_class(labels, 10)
    assert rows.tolist() == [*range(7), 60, 61, 62, 90]
    assert path.some_of_each_class(labels, 91).tolist() == [*range(91)]
    assert path.some_of_each_class(labels, 1000).tolist() == [*range(91)]


def test_a_fit_that_is_not_the_same_everywhere_is_left_out(noisy, monkeypatch, caplog):
    fit = path.logistic.fit

    def inexact(data, options, *arguments):
        model = fit(data, options, *arguments)
        return type(model)(**vars(model) | {"is_canonical": VALUES[0] != options.C})

    monkeypatch.setattr(path.logistic, "fit", inexact)
    found = path.follow(*noisy, VALUES)
    assert found.C.tolist() == [VALUES[1]]
    assert len(found.weights) == len(found.limits) == len(found.errors) == 1
    assert "C = 0.001 is left out" in caplog.text


@pytest.fixture
def root(tmp_path, tiny):
    dataset.save(tmp_path / "data/subsets/some", tiny)
    return tmp_path


def run(root):
    path.main(None, "some", root)
    return RegularisationPath.load(root / "data/paths/some.npz")


@pytest.mark.slow
def test_what_would_take_long_has_no_values(root, monkeypatch):
    assert len(run(root).C) == len(path.C_VALUES)
    monkeypatch.setattr(path, "MOST_WORK", 10 * 64**2)
    assert len(run(root).C) == len(path.C_VALUES)
    monkeypatch.setattr(path, "MOST_WORK", 10 * 64**2 - 1)
    found = run(root)
    assert found.C.size == 0
    assert found.weights.shape == (0, 10, 64)


def test_images_of_different_subsets_are_refused(root, tiny):
    for kept in (tiny.train.labels == 3, tiny.train.labels < 9):
        train = Split(tiny.train.images[kept], tiny.train.labels[kept])
        dataset.save(root / "data/subsets/some", Dataset(train, tiny.test))
        with pytest.raises(InputError, match=r"some: .* do not belong to each other"):
            run(root)
