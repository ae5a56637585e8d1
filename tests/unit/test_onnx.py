"""Each model as an ONNX graph, run by onnxruntime, against the model itself."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from digits import methods
from digits.errors import InputError
from digits.export.fitted import Fitted
from digits.models.decision import Probabilistic
from tests.helpers.exports import LINEAR, fit, predicted
from tests.helpers.project import options
from tests.unit.test_lenet5 import drawn
from tests.unit.test_methods import BLOCKS

pytestmark = pytest.mark.hard  # needs onnx and onnxruntime
VARIANTS = {
    **LINEAR,
    **{name: (10, block, ()) for name, block in BLOCKS.items()},
    **{f"{name}_of_two": (2, block, ()) for name, block in BLOCKS.items()},
    "many_neighbours": (10, options("nearest_neighbours", k=40), ()),
}
SHAPES = [(28, 28), (8, 13), (40, 33), (1, 1), (64, 64)]  # of images, for LeNet-5


@pytest.fixture(scope="module")
def onnx_model():
    return import_module("digits.export.onnx_model")


@pytest.fixture(scope="module")
def session(tmp_path_factory, onnx_model):
    """Return a function that writes a model and returns a function of its inputs."""
    onnxruntime = import_module("onnxruntime")

    def load(fitted):
        path = tmp_path_factory.mktemp("onnx") / "model.onnx"
        onnx_model.save(fitted, path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda images: dict(
            zip(names, session.run(None, {"images": images}), strict=True)
        )

    return load


def check(session, fitted, images):
    """Compare labels, scores and probabilities with those of the pipeline."""
    model, compute = fitted.model, session(fitted)
    found, scores = compute(images), model.scores(images)
    assert found["label"].dtype == np.int64
    np.testing.assert_array_equal(found["label"], predicted(fitted, images))
    np.testing.assert_array_equal(found["scores"], scores)  # in every bit
    assert ("probabilities" in found) == isinstance(model.decision, Probabilistic)
    if "probabilities" in found:
        expected = np.exp(model.decision.log_probabilities(scores))
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-12)
    for name, values in compute(images[:0]).items():
        assert values.shape == (0, *found[name].shape[1:])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_model_has_the_same_labels_and_scores_in_onnxruntime(session, name):
    n_classes, block, thresholds = VARIANTS[name]
    fitted, images = fit(name, block, n_classes, thresholds)
    check(session, fitted, images)
    rows = np.random.default_rng(0)
    noise = rows.integers(0, 256, (300, 8, 8), np.uint8)
    noise[:3] = np.array([0, 255, 1])[:, None, None]  # constant ones, and black
    check(session, fitted, noise)


def test_every_type_of_model_is_tested():
    tested = {block.model for _, block, _ in VARIANTS.values()} | {"lenet5"}
    assert tested == {*methods.NAMES}


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (64, 64)])
def test_images_are_deskewed_as_in_the_pipeline(session, shape):
    """With the pixels as scores, of which each must be the same."""
    n_pixels = shape[0] * shape[1]
    fitted, _ = fit("one_hot", options("one_hot_regression"))
    model = replace(
        fitted.model,
        preprocess="deskew",
        classes=np.arange(min(n_pixels, 100), dtype=np.uint8),
        mean=np.zeros(n_pixels),
        scale=np.ones(n_pixels),
        coef=np.eye(n_pixels)[:100],
        intercept=np.zeros(min(n_pixels, 100)),
    )
    images = np.random.default_rng(0).integers(0, 256, (200, *shape), np.uint8)
    images[100:] *= np.random.default_rng(1).random((100, *shape)) < 0.1  # little ink
    images[:2] = np.array([0, 255])[:, None, None]
    check(session, replace(fitted, model=model, shape=shape), images)


@pytest.mark.parametrize("shape", SHAPES)
def test_lenet5_has_the_same_scores_for_images_of_any_size(session, shape):
    images = np.random.default_rng(1).integers(0, 256, (50, *shape), np.uint8)
    metadata = {"versions": {"digits": "0.1.0"}}
    check(session, Fitted("lenet5", drawn(*shape, 10), (), shape, metadata), images)


def test_a_score_that_equals_a_threshold_is_below_it(session):
    fitted, images = fit("binary", options("linear_regression"), 2, (0.49,))
    scores = fitted.model.scores(images)[:, 0]
    check(session, replace(fitted, thresholds=(float(np.median(scores)),)), images)
    check(session, replace(fitted, thresholds=(float(scores[0]),)), images)


def test_extreme_scores_have_finite_probabilities(session):
    for name in ("logistic", "one_vs_rest", "multinomial"):
        n_classes, block, _ = LINEAR[name]
        fitted, images = fit(name, block, n_classes)
        model = replace(fitted.model, coef=1e4 * fitted.model.coef)
        check(session, replace(fitted, model=model), images)


def test_the_file_has_the_same_bytes_again_and_its_metadata(onnx_model, tmp_path):
    onnx = import_module("onnx")
    fitted, _ = fit("multinomial", LINEAR["multinomial"][1])
    fitted.metadata["names"] = ["größer", "☃"]
    for name in ("a.onnx", "b.onnx"):
        onnx_model.save(fitted, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    model = onnx.load(tmp_path / "a.onnx")
    assert {p.key: p.value for p in model.metadata_props} == fitted.texts
    assert fitted.texts["names"] == '["größer", "☃"]'
    (opset,) = model.opset_import
    assert (opset.domain, opset.version, model.ir_version) == ("", 13, 7)
    (images,) = model.graph.input
    sides = [side.dim_param or side.dim_value for side in images.type.tensor_type.shape.dim]
    assert sides == ["n", 8, 8]


def test_a_model_without_a_function_is_refused(onnx_model, monkeypatch):
    fitted, _ = fit("one_hot", LINEAR["one_hot"][1])
    monkeypatch.delitem(onnx_model.SCORES, "linear")
    with pytest.raises(InputError, match="cannot express a model of type linear"):
        onnx_model.build(fitted)
