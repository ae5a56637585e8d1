import operator
import os
import platform
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_expit, log_softmax

from digits.errors import InputError
from digits.models import serialization
from digits.models.base import are_finite
from digits.models.decision import (
    RULES,
    OneVsRest,
    Probabilistic,
    Sigmoid,
    Softmax,
    Threshold,
)
from digits.models.linear import LinearModel, affine, on_grids
from tests.helpers import kernels
from tests.helpers.project import ROOT


@pytest.fixture
def model(tiny):
    pixels = tiny.train.images.reshape(300, 64)
    rng = np.random.default_rng(0)
    return LinearModel(
        mean=pixels.mean(axis=0),
        scale=np.maximum(pixels.std(axis=0), 1),
        coef=rng.normal(size=(10, 64)),
        intercept=rng.normal(size=10),
        classes=np.arange(10, dtype=np.uint8),
        decision=Softmax(),
    )


def test_saving_and_loading_gives_equal_data_and_the_same_bytes(tmp_path, model):
    for name in "ab":
        serialization.save(model, tmp_path / f"{name}.npz")
    loaded = serialization.load(tmp_path / "a.npz")
    for name in ("mean", "scale", "coef", "intercept", "classes", "gap", "is_canonical"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    assert loaded.decision == model.decision
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"coef": np.zeros((9, 64))}, "coef has shape"),
        ({"scale": np.full(64, np.nan)}, "scale has values that are not finite"),
        ({"decision": "oracle"}, "unknown decision rule 'oracle'"),
        ({"mean": np.array([{}])}, "cannot be read as a model"),
        ({"intercept": None}, "cannot be read as a model"),
        ({"coef": np.full((10, 64), "a")}, "coef has values of type <U1, expected numbers"),
        ({"gap": None, "is_canonical": None}, r"cannot be read .* gap, is_canonical"),
        ({"gap": "small"}, "gap is 'small', which has another type"),
        ({"gap": np.nan}, "gap is nan, expected at least 0"),
        ({"is_canonical": 2.0}, "is_canonical is 2.0, which has another type"),
        ({"kind": "os"}, "unknown type of model 'os'"),
        ({"preprocess": "blur"}, "unknown preprocessing 'blur'"),
        ({"classes": np.zeros((10, 2), np.uint8)}, r"classes are uint8 of shape"),
    ],
)
def test_a_wrong_model_is_refused(tmp_path, model, change, expected):
    whole = {"kind": "linear"} | vars(model) | {"decision": "softmax"} | change
    arrays = {name: value for name, value in whole.items() if value is not None}
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(InputError, match=rf"model\.npz: {expected}.*dvc repro"):
        serialization.load(tmp_path / "model.npz")


def test_scores_are_one_affine_map_of_the_standardised_pixels(model, tiny):
    X = (tiny.test.images.reshape(120, 64) - model.mean) / model.scale
    expected = np.einsum("np,kp->nk", X, model.coef) + model.intercept
    np.testing.assert_allclose(model.scores(tiny.test.images), expected, atol=1e-9)


def exact_sums(X, weights, offset):
    """Return X · weightsᵀ + offset in rational numbers, as lists of lists."""
    rows = [[Fraction(value) for value in row] for row in weights.tolist()]
    return [
        [
            sum(map(operator.mul, pixels, row), Fraction(c))
            for row, c in zip(rows, offset.tolist(), strict=True)
        ]
        for pixels in X.tolist()
    ]


@pytest.mark.slow
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-320, 1e-300, 1e-9, 1.0, 1e9, 1e290]),
    st.sampled_from([1e-9, 1.0, 1e9]),
)
def test_scores_are_exact_in_any_order_and_close_to_the_coefficients(seed, size, spread):
    """Weights of very different sizes, too: their sum has a bit for each."""
    rng = np.random.default_rng(seed)
    n_pixels, n_outputs = rng.integers(1, 40), rng.integers(1, 4)
    mean, scale = rng.uniform(0, 255, n_pixels), rng.uniform(0.1, 99, n_pixels)
    coef = rng.normal(size=(n_outputs, n_pixels)) * size
    coef *= spread ** rng.random(coef.shape)
    intercept = rng.normal(size=n_outputs) * size
    X = rng.choice(np.array([0, 1, 127, 255], np.uint8), (3, n_pixels))
    weights, offset = on_grids(mean, scale, coef, intercept)
    scores = affine(X, weights, offset)
    assert scores.tolist() == exact_sums(X, weights, offset)
    order = rng.permutation(n_pixels)
    np.testing.assert_array_equal(affine(X[:, order], weights[:, order], offset), scores)
    unrounded = [row / scale for row in coef]
    exact = exact_sums(X, np.array(unrounded), intercept)
    for k, row in enumerate(unrounded):
        shift = sum(Fraction(a) * Fraction(b) for a, b in zip(row, mean, strict=True))
        bound = 255 * np.abs(row).sum() + abs(intercept[k] - row @ mean)
        for i in range(len(X)):
            error = abs(Fraction(scores[i, k]) - exact[i][k] + shift)
            assert error <= max(n_pixels * 256 * bound * 2.0**-52, 1e-318)


def test_the_scores_of_an_image_do_not_depend_on_the_others(model, tiny):
    scores = model.scores(tiny.test.images)
    for rows in (slice(0, 1), slice(7, 8), slice(3, 110)):
        np.testing.assert_array_equal(model.scores(tiny.test.images[rows]), scores[rows])
    assert model.scores(tiny.test.images[:0]).shape == (0, 10)


def test_weights_that_are_too_large_give_scores_that_are_not_finite(model, tiny):
    for coef in (1e308, 1e306, -1e308):
        large = replace(model, coef=np.full((10, 64), coef), scale=np.full(64, 1e-3))
        with np.errstate(all="ignore"):
            assert not are_finite(large.scores(tiny.test.images))


SCORE = """
import sys
from hashlib import sha256
from pathlib import Path
import numpy as np
from digits.models import serialization
from threadpoolctl import threadpool_limits
model = serialization.load(Path(sys.argv[1]))
X = np.load(sys.argv[2])
scores = model.scores(X)
for n_threads in (1, 2):
    with threadpool_limits(n_threads):
        product = X.reshape(len(X), -1).astype(float) @ model.weights.T + model.offset
    assert (product == scores).all()
print(sha256(scores.tobytes()).hexdigest())
"""


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="kernels for x86-64")
def test_every_blas_kernel_gives_the_same_scores(tmp_path, model):
    serialization.save(model, tmp_path / "model.npz")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (250, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    expected = sha256(model.scores(images).tobytes()).hexdigest()
    for kernel in filter(kernels.runs_here, ("Nehalem", "Haswell", "SkylakeX")):
        done = subprocess.run(
            [sys.executable, "-c", SCORE, tmp_path / "model.npz", tmp_path / "images.npy"],
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_CORETYPE": kernel},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "", kernel
        assert done.stdout.strip() == expected, kernel


def test_thresholds_decide_by_score():
    scores = np.array([[-9.0], [0.5], [0.51], [1.5], [1.6], [99.0]])
    decided = Threshold().predict(scores, (0.5, 1.5))
    assert decided.tolist() == [0, 0, 1, 1, 2, 2]


def test_log_odds_are_decided_at_zero():
    assert Sigmoid().predict(np.array([[-1.0], [0.0], [1.0]])).tolist() == [0, 0, 1]


@pytest.mark.parametrize("decision", ["one_vs_rest", "softmax", "largest"])
def test_the_largest_score_decides(decision):
    assert RULES[decision].predict(np.array([[1.0, 3.0, 2.0]])).tolist() == [1]


@given(st.lists(st.floats(-800, 800), min_size=3, max_size=3))
def test_log_probabilities_are_those_of_scipy(row):
    scores = np.array([row])
    softmax = Softmax().log_probabilities(scores)
    np.testing.assert_allclose(softmax, log_softmax(scores, axis=1), atol=1e-9)
    sigmoid = Sigmoid().log_probabilities(scores[:, :1])
    expected = [[log_expit(-row[0]), log_expit(row[0])]]
    np.testing.assert_allclose(sigmoid, expected, atol=1e-12)
    each = np.exp(log_expit(scores))
    one_vs_rest = np.exp(OneVsRest().log_probabilities(scores))
    if each.sum() > 0:
        np.testing.assert_allclose(one_vs_rest, each / each.sum(), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "n_outputs", "n_thresholds", "shown"),
    [
        ("threshold", 1, 2, "score"),
        ("sigmoid", 1, 0, "probability of"),
        ("one_vs_rest", 3, 0, "probability of"),
        ("softmax", 3, 0, "probability of"),
        ("largest", 3, 0, "score of"),
    ],
)
def test_a_rule_says_how_many_scores_and_thresholds_it_takes(
    name, n_outputs, n_thresholds, shown
):
    rule = RULES[name]
    assert rule.n_outputs(3) == n_outputs
    assert rule.n_thresholds(3) == n_thresholds
    assert rule.label == shown
    assert isinstance(rule, Probabilistic) == shown.startswith("probability")


@pytest.mark.parametrize("name", ["threshold", "largest"])
def test_a_rule_that_is_not_probabilistic_has_no_probabilities(name):
    assert not hasattr(RULES[name], "log_probabilities")


def test_the_size_of_an_error_is_by_how_much_the_score_misses_its_class():
    scores, actual, predicted = (
        np.array([[2.6], [-3.0]]),
        np.array([0, 1]),
        np.array([2, 0]),
    )
    sizes = Threshold().error_size(scores, actual, predicted, (0.5, 1.5))
    np.testing.assert_allclose(sizes, [2.1, 3.5])
    np.testing.assert_array_equal(Sigmoid().error_size(scores, actual, predicted), [2.6, 3])
    several = np.array([[1.0, 3.0, 2.0]])
    np.testing.assert_array_equal(
        Softmax().error_size(several, np.array([0]), np.array([1])), [2]
    )
