"""Models as classifiers of scikit-learn, and as Keras models."""

import subprocess
import sys
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from digits.export import keras_model, scikit_learn
from digits.export.fitted import margins
from digits.methods.lenet5 import pad
from digits.models import serialization
from digits.models.decision import Probabilistic
from tests.helpers.exports import LINEAR, fit, predicted
from tests.helpers.project import ROOT, options
from tests.unit.test_lenet5 import drawn


def run(folder, script, *arguments, path=""):
    """Run a script in another process; without a path, this package is not found."""
    result = subprocess.run(
        [sys.executable, "-Pc", script, *arguments],
        cwd=folder,
        env={"PYTHONPATH": path},
        text=True,
        capture_output=True,
        check=False,
    )
    assert not result.returncode, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def variants():
    return {
        name: fit(name, block, n_classes, thresholds)
        for name, (n_classes, block, thresholds) in LINEAR.items()
    }


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_is_a_classifier_with_the_same_labels_and_probabilities(
    variants, name
):
    fitted, images = variants[name]
    model, X = fitted.model, images.reshape(len(images), -1)
    classifier = scikit_learn.build(fitted)
    np.testing.assert_array_equal(classifier.predict(X), predicted(fitted, images))
    np.testing.assert_array_equal(classifier.classes_, model.classes)
    assert classifier.n_features_in_ == X.shape[1]
    assert hasattr(classifier, "predict_proba") == isinstance(model.decision, Probabilistic)
    if isinstance(model.decision, Probabilistic):
        expected = np.exp(model.decision.log_probabilities(model.scores(images)))
        np.testing.assert_allclose(classifier.predict_proba(X), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["logistic", "one_vs_rest", "multinomial", "one_hot"])
def test_its_decision_function_is_the_scores_to_the_last_bit(variants, name):
    fitted, images = variants[name]
    found = scikit_learn.build(fitted).decision_function(images.reshape(len(images), -1))
    expected = fitted.model.scores(images)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("name", ["binary", "digits"])
def test_thresholds_are_decided_exactly_also_where_a_score_equals_one(variants, name):
    fitted, images = variants[name]
    scores = np.sort(fitted.model.scores(images)[:, 0])
    n_thresholds = len(fitted.thresholds)
    equal = np.unique(scores)[:: len(scores) // (2 * n_thresholds)][1 : n_thresholds + 1]
    for thresholds in (equal, np.nextafter(equal, -9), np.nextafter(equal, 9)):
        changed = replace(fitted, thresholds=(*thresholds.tolist(),))
        classifier = scikit_learn.build(changed)
        assert isinstance(classifier, RidgeClassifier)
        labels = classifier.predict(images.reshape(len(images), -1))
        np.testing.assert_array_equal(labels, predicted(changed, images))


def test_the_file_of_a_classifier_has_the_same_bytes_again_and_its_metadata(
    variants, tmp_path
):
    fitted, _ = variants["one_vs_rest"]
    for name in ("a.joblib", "b.joblib"):
        scikit_learn.save(fitted, tmp_path / name)
    first, second = ((tmp_path / f"{name}.joblib").read_bytes() for name in "ab")
    assert first == second
    assert joblib.load(tmp_path / "a.joblib").digits_ == fitted.metadata


SCIKIT_LEARN_ALONE = """
import sys, joblib, numpy as np

np.save("found.npy", joblib.load("model.joblib").predict(np.load("X.npy")))
print([name for name in sys.modules if "digits" in name])
"""


@pytest.mark.slow
def test_scikit_learn_alone_loads_a_classifier(variants, tmp_path):
    fitted, images = variants["one_vs_rest"]
    scikit_learn.save(fitted, tmp_path / "model.joblib")
    np.save(tmp_path / "X.npy", images.reshape(len(images), -1))
    assert run(tmp_path, SCIKIT_LEARN_ALONE) == "[]\n"
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_array_equal(found, predicted(fitted, images))


def test_models_without_such_a_form_are_refused(variants):
    fitted, _ = variants["one_hot"]
    deskewed = replace(fitted, model=replace(fitted.model, preprocess="deskew"))
    neighbours, _ = fit("neighbours", options("nearest_neighbours", k=1))
    network = replace(fitted, model=drawn(8, 8, 10))
    assert scikit_learn.refused(fitted) is None
    assert scikit_learn.refused(deskewed).endswith("the preprocessing deskew")
    assert scikit_learn.refused(neighbours).startswith("only linear models")
    assert keras_model.refused(network) is None
    assert keras_model.refused(fitted) == "only LeNet-5 is a Keras model"
    assert keras_model.refused(
        replace(network, model=replace(network.model, preprocess="deskew"))
    ).endswith("the preprocessing deskew")


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (33, 40), (1, 64), (31, 30)])
def test_the_margins_are_those_of_lenet5(shape):
    image = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    np.testing.assert_array_equal(np.pad(image, ((0, 0), *margins(shape))), pad(image))


KERAS = """
import sys
from pathlib import Path
from digits.export import keras_model
from digits.export.fitted import Fitted
from digits.models import serialization

for path in Path().glob("*.npz"):
    model = serialization.load(path)
    fitted = Fitted("mine", model, (), (model.height, model.width), {"commit": "abc"})
    for name in sys.argv[1:]:
        keras_model.save(fitted, path.with_suffix(f".{name}.keras"))
"""
KERAS_ALONE = """
import json, os, sys
from pathlib import Path
from zipfile import ZipFile
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras, numpy as np

for path in Path().glob("*.a.keras"):
    images = np.load(path.with_name(path.name.replace("a.keras", "images.npy")))
    probabilities = keras.models.load_model(path).predict(images, verbose=0)
    np.save(path.with_name(path.name.replace("a.keras", "found.npy")), probabilities)
    print(json.loads(ZipFile(path).read("metadata.json"))["digits"])
print([name for name in sys.modules if "digits" in name])
"""


@pytest.mark.slow
def test_keras_alone_loads_lenet5(tmp_path):
    """Written twice in a process and once in another, it has the same bytes."""
    expected = {}
    for shape in ((28, 28), (8, 13), (40, 33)):
        model, name = drawn(*shape, 10), f"{shape[0]}"
        serialization.save(model, tmp_path / f"{name}.npz")
        images = np.random.default_rng(1).integers(0, 256, (50, *shape), np.uint8)
        np.save(tmp_path / f"{name}.images.npy", images)
        expected[name] = np.exp(model.decision.log_probabilities(model.scores(images)))
    run(tmp_path, KERAS, "a", "b", path=str(ROOT))
    run(tmp_path, KERAS, "c", path=str(ROOT))
    assert run(tmp_path, KERAS_ALONE) == "{'commit': 'abc'}\n" * 3 + "[]\n"
    for name, probabilities in expected.items():
        assert len({(tmp_path / f"{name}.{i}.keras").read_bytes() for i in "abc"}) == 1
        found = np.load(tmp_path / f"{name}.found.npy")
        np.testing.assert_allclose(found, probabilities, atol=1e-3)
        np.testing.assert_array_equal(found.argmax(axis=1), probabilities.argmax(axis=1))
