"""The path of logistic regression over C, for all folds at once."""

import numpy as np
import pytest

from digits.solvers import path
from digits.solvers.logistic import LogisticRegression
from digits.solvers.path import logistic_path

CS = (0.001, 0.03, 1.0)


@pytest.fixture(scope="module")
def data():
    """600 images of three classes, and folds; a pixel varies in fold 2 alone."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, 600).astype(np.uint8)
    centres = random.integers(60, 190, (3, 12))
    pixels = np.clip(centres[labels] + random.normal(0, 70, (600, 12)), 0, 255)
    images = pixels.astype(np.uint8).reshape(600, 3, 4)
    fold = random.permutation(600) % 3
    images[:, 0, 0] = 7
    images[:, 0, 1] = np.where(fold == 2, images[:, 0, 1], 9)
    return images, labels, fold


@pytest.mark.parametrize("multi_class", ["multinomial", "one_vs_rest"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_scores_are_those_of_separate_fits(data, multi_class, n_classes, monkeypatch):
    monkeypatch.setattr(path, "TOLERANCE", 1e-13)
    images, labels, fold = (array[data[1] < n_classes] for array in data)
    for point in logistic_path(images, labels, fold, CS, multi_class):
        for k in range(3):
            model = LogisticRegression(C=point.C, multi_class=multi_class)
            model.fit(images[fold != k], labels[fold != k])
            expected = model.decision_function(images[fold == k])
            found = point.scores[fold == k].squeeze()
            np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("multi_class", ["multinomial", "one_vs_rest"])
def test_at_its_tolerance_the_path_is_near_the_minimum(data, multi_class):
    images, labels, fold = data
    for point in logistic_path(images, labels, fold, CS, multi_class):
        right = point.scores.argmax(axis=1) == labels
        separate = np.empty(len(labels), bool)
        for k in range(3):
            model = LogisticRegression(C=point.C, multi_class=multi_class)
            model.fit(images[fold != k], labels[fold != k])
            scores = model.decision_function(images[fold == k])
            separate[fold == k] = scores.argmax(axis=1) == labels[fold == k]
        assert 0.6 < separate.mean() < 1
        assert abs(right.mean() - separate.mean()) < 0.02  # 12 images


def test_a_path_goes_on_after_any_point_with_the_same_bytes(data):
    images, labels, fold = data
    whole = [*logistic_path(images, labels, fold, CS, "multinomial")]
    for i in range(len(CS) - 1):
        rest = logistic_path(
            images, labels, fold, CS[i + 1 :], "multinomial", after=whole[i]
        )
        for expected, found in zip(whole[i + 1 :], rest, strict=True):
            np.testing.assert_array_equal(found.scores, expected.scores)
            np.testing.assert_array_equal(found.state, expected.state)


@pytest.mark.parametrize("multi_class", ["multinomial", "one_vs_rest"])
def test_neither_threads_nor_memory_mapping_change_a_bit(
    data, multi_class, monkeypatch, tmp_path
):
    images, labels, fold = data
    expected = [*logistic_path(images, labels, fold, CS, multi_class)]
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    monkeypatch.setattr(path, "available_threads", lambda: 1)
    for point, other in zip(
        expected, logistic_path(mapped, labels, fold, CS, multi_class), strict=True
    ):
        np.testing.assert_array_equal(other.scores, point.scores)


def test_held_out_labels_change_no_score_of_their_fold(data):
    images, labels, fold = data
    other = np.where(fold == 1, (labels + 1) % 3, labels)
    for point, changed in zip(
        logistic_path(images, labels, fold, CS, "multinomial"),
        logistic_path(images, other, fold, CS, "multinomial"),
        strict=True,
    ):
        np.testing.assert_allclose(
            changed.scores[fold == 1], point.scores[fold == 1], rtol=1e-9
        )
        assert (changed.scores[fold != 1] != point.scores[fold != 1]).any()
