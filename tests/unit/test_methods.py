"""Each model against scikit-learn, on generated data."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.svm import SVC
from sklearn.utils.multiclass import _ovr_decision_function

from digits.errors import InputError
from digits.methods import principal_quadratic, support_vectors
from digits.methods.random_features import EXPONENT_STEP, random_weights, sigmoid_features
from digits.models import distances, features, pairs, serialization
from digits.models.decision import Probabilistic
from digits.models.features import STEP
from digits.models.linear import affine
from digits.models.training_log import TrainingLog
from digits.solvers import least_squares
from stages import train
from tests.helpers import kernels
from tests.helpers.project import ROOT, generate, options

BLOCKS = {
    "one_hot": options("one_hot_regression"),
    "pairwise": options("pairwise_regression", preprocess="deskew"),
    "quadratic": options("principal_quadratic", components=5),
    "radial": options("radial_basis", centres=33, sigma=300.0, ridge=1e-6, seed=0),
    "random": options("random_features", features=40, ridge=1e-3, seed=0),
    "neighbours": options("nearest_neighbours", k=3),
    "vectors": options("support_vectors", C=2.0, gamma=0.05),
}


@pytest.fixture(scope="module")
def data():
    """Images of ten overlapping classes, 8 by 8."""
    return generate(600, 200, seed=3)


@pytest.fixture(scope="module")
def fitted(data):
    return {name: train.train(data.train, block) for name, block in BLOCKS.items()}


def flat(split):
    return split.images.reshape(len(split.images), -1).astype(float)


def one_hot(split):
    return np.eye(10)[split.labels]


@pytest.mark.parametrize("name", BLOCKS)
def test_saving_and_loading_gives_equal_scores_and_the_same_bytes(
    fitted, data, name, tmp_path
):
    serialization.save(fitted[name], tmp_path / "a.npz")
    serialization.save(train.train(data.train, BLOCKS[name]), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = serialization.load(tmp_path / "a.npz")
    assert type(loaded) is type(fitted[name])
    assert loaded.n_pixels == 64
    np.testing.assert_array_equal(
        loaded.scores(data.test.images), fitted[name].scores(data.test.images)
    )


@pytest.mark.parametrize("name", BLOCKS)
def test_every_model_learns_and_records_its_training(data, name):
    training_log = TrainingLog()
    model = train.train(data.train, BLOCKS[name], training_log)
    predicted = model.decision.predict(model.scores(data.test.images))
    assert np.mean(predicted == data.test.labels) > 0.8
    assert isinstance(model.decision, Probabilistic) == BLOCKS[name].has_probabilities
    assert training_log.rows
    assert all(np.isfinite(value) for *_, value in training_log.rows)


@pytest.mark.parametrize("name", BLOCKS)
def test_an_array_of_another_shape_is_refused(fitted, name, tmp_path):
    model = fitted[name]
    path = tmp_path / "model.npz"
    serialization.save(model, path)
    with np.load(path) as file:
        arrays = dict(file)
    for array in model._shapes():
        wrong = np.zeros((2, 3, 4))
        np.savez(path, **(arrays | {array: wrong}))
        with pytest.raises(InputError, match="has shape"):
            serialization.load(path)


@pytest.fixture
def unrounded(monkeypatch):
    """Make the grid of least squares so fine that rounding to it changes nothing."""
    monkeypatch.setattr(least_squares, "MOST_MOVE", 1e-26)


@pytest.mark.usefixtures("unrounded")
def test_one_hot_least_squares_is_scikit_learns(data):
    model = train.train(data.train, BLOCKS["one_hot"])
    expected = LinearRegression().fit(flat(data.train), one_hot(data.train))
    np.testing.assert_allclose(
        model.scores(data.test.images), expected.predict(flat(data.test)), atol=1e-8
    )


@pytest.mark.usefixtures("unrounded")
def test_each_pair_is_least_squares_on_its_images_alone(data):
    block = BLOCKS["pairwise"].model_copy(update={"preprocess": None})
    model = train.train(data.train, block)
    for (i, j), coef, intercept in zip(
        pairs.pairs(10), model.coef, model.intercept, strict=True
    ):
        here = np.isin(data.train.labels, (i, j))
        line = LinearRegression().fit(
            flat(data.train)[here], np.where(data.train.labels[here] == i, 1, -1)
        )
        margins = flat(data.test) @ coef + intercept
        np.testing.assert_allclose(margins, line.predict(flat(data.test)), atol=1e-7)


def test_the_margins_of_pairs_are_exact(data):
    model = train.train(data.train, BLOCKS["pairwise"])
    X = flat(data.test)
    margins = affine(X, model.coef, model.intercept)
    order = np.random.default_rng(0).permutation(X.shape[1])
    for turned in (
        affine(X[:, order], model.coef[:, order], model.intercept),
        np.cumsum(X[:, None] * model.coef, axis=2)[:, :, -1] + model.intercept,
    ):
        np.testing.assert_array_equal(turned, margins)


def test_votes_are_scikit_learns():
    margins = np.random.default_rng(0).normal(size=(50, 6))
    expected = _ovr_decision_function(margins <= 0, -margins, 4)
    np.testing.assert_allclose(pairs.votes(margins, 4), expected)


def test_the_quadratic_classifier_is_scikit_learns_pipeline(fitted, data):
    """Scale and signs of the components do not change the span of their squares.

    Rounding the components does, by a little.
    """
    pipeline = make_pipeline(
        PCA(5, svd_solver="full"), PolynomialFeatures(2), LinearRegression()
    ).fit(flat(data.train), one_hot(data.train))
    np.testing.assert_allclose(
        fitted["quadratic"].scores(data.test.images),
        pipeline.predict(flat(data.test)),
        atol=1e-3,
    )


def test_more_components_than_the_rank_are_refused(data):
    block = BLOCKS["quadratic"].model_copy(update={"components": 64})
    with pytest.raises(InputError, match=r"train\.components: the images have fewer"):
        train.train(data.train, block)


def test_radial_basis_functions_are_a_ridge_on_scikit_learns_kernel(fitted, data):
    model = fitted["radial"]
    gamma = 1 / (2 * model.sigma**2)
    train_, test = (
        rbf_kernel(flat(s), model.centres.astype(float), gamma)
        for s in data.splits.values()
    )
    ridge = Ridge(alpha=1e-6 * len(train_)).fit(train_, one_hot(data.train))
    np.testing.assert_allclose(
        model.scores(data.test.images), ridge.predict(test), atol=1e-5
    )


def test_centres_are_shared_equally_among_classes(fitted, data):
    """33 centres: four for three classes, three for seven, each nearest to its class."""
    model = fitted["radial"]
    means = np.array(
        [flat(data.train)[data.train.labels == c].mean(axis=0) for c in range(10)]
    )
    owner = rbf_kernel(model.centres.astype(float), means, 1e-5).argmax(axis=1)
    assert sorted(np.bincount(owner)) == [3] * 7 + [4] * 3


def test_random_features_are_a_ridge_on_themselves(fitted, data):
    model = fitted["random"]
    train_, test = (
        sigmoid_features(flat(s).astype(np.uint8), model.weights)
        for s in data.splits.values()
    )
    ridge = Ridge(alpha=1e-3 * len(train_)).fit(train_, one_hot(data.train))
    np.testing.assert_allclose(
        model.scores(data.test.images), ridge.predict(test), atol=1e-5
    )


def test_a_receptive_field_is_a_rectangle_of_weights_of_length_two(data):
    weights = random_weights(data.train.images, data.train.labels, 30, 0)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 2, rtol=1e-3)
    covered = weights.reshape(30, 8, 8) != 0
    assert 0.1 < covered.mean() < 0.7
    assert not covered.all(axis=(1, 2)).any()
    other = random_weights(data.train.images, data.train.labels, 30, 1)
    assert not np.array_equal(weights, other)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_neighbours_are_scikit_learns(data, k):
    block = options("nearest_neighbours", k=k)
    known = KNeighborsClassifier(k, algorithm="brute").fit(
        flat(data.train), data.train.labels
    )
    scores = train.train(data.train, block).scores(data.test.images)
    np.testing.assert_allclose(scores, known.predict_proba(flat(data.test)))


def test_products_of_many_pixels_are_exact():
    """Even if a float32 could not hold the sum."""
    X = np.random.default_rng(0).integers(0, 2, (20, 5000)).astype(np.uint8) * 255
    pixels = distances.centred(X).pixels
    exact = (X.astype(np.int64) - 128) @ (X.astype(np.int64) - 128).T
    np.testing.assert_array_equal(distances.products(pixels, pixels), exact)


def test_more_neighbours_than_images_are_refused(data):
    block = options("nearest_neighbours", k=601)
    with pytest.raises(InputError, match=r"train\.k: there are only 600"):
        train.train(data.train, block)


@pytest.mark.parametrize("C", [0.05, 2.0])  # with the lower one, most coefficients are C
def test_support_vector_machines_are_libsvms(data, C):
    model = train.train(data.train, options("support_vectors", C=C, gamma=0.05))
    svc = SVC(C=C, gamma=0.05, tol=1e-6, decision_function_shape="ovo")
    svc.fit(flat(data.train) / 255, data.train.labels)
    X, vectors = (distances.centred(A) for A in (flat(data.test), model.vectors))
    margins = support_vectors.kernel(X, vectors, model.gamma) @ model.coef.T
    np.testing.assert_allclose(
        margins + model.intercept, svc.decision_function(flat(data.test) / 255), atol=1e-4
    )


def test_the_path_to_a_support_vector_machine_changes_no_bit(
    fitted, data, monkeypatch, caplog
):
    """The optimum is the same for other working sets and a low accuracy of libsvm."""
    for name, value in (("ADDED", 10), ("TOLERANCE", 0.1)):
        monkeypatch.setattr(support_vectors, name, value)
        model = train.train(data.train, BLOCKS["vectors"])
        for array in ("vectors", "coef", "intercept"):
            expected = getattr(fitted["vectors"], array)
            np.testing.assert_array_equal(getattr(model, array), expected)
    assert not caplog.text


def test_support_vector_machines_without_a_single_optimum_are_warned_of(data, caplog):
    """The intercept lies anywhere in an interval if all coefficients are C."""
    train.train(data.train, options("support_vectors", C=1e-6, gamma=0.05))
    assert "another processor may give other hashes" in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs long double")
@pytest.mark.parametrize("name", ["exponential", "sigmoid"])
def test_no_rounded_exponential_depends_on_its_last_bits(name):
    """All arguments: none is within 1000 of its last bits of a rounding boundary."""
    exponents = np.arange(-15, 15, EXPONENT_STEP, np.longdouble)
    values = 1 / (1 + np.exp(exponents))
    if name == "exponential":
        values = np.exp(-np.arange(0, 15, distances.STEP, np.longdouble))
    assert values.min() < STEP / 2  # smaller ones become 0
    in_steps = values / STEP
    from_boundary = np.abs(np.abs(in_steps - np.rint(in_steps)) - 0.5) * STEP
    assert (from_boundary > 1000 * np.spacing(values.astype(float))).all()


FIT = """
import hashlib, json
from digits.models import serialization
from pathlib import Path
from stages import train
from tests.helpers.project import generate
from tests.unit.test_methods import EXACT

data = generate(600, 200, seed=3)
for name, block in EXACT.items():
    model = train.train(data.train, block)
    serialization.save(model, Path("model.npz"))
    both = Path("model.npz").read_bytes() + model.scores(data.test.images).tobytes()
    print(name, hashlib.sha256(both).hexdigest())
"""
EXACT = {name: BLOCKS[name] for name in BLOCKS if name not in ("one_hot", "pairwise")}
# what NumPy and libm choose on this processor, and may not use here
FEATURES = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
FEWER = {
    "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-FMA4",
    "OMP_NUM_THREADS": "1",
}


@pytest.mark.slow
def test_models_and_scores_are_the_same_bytes_with_other_kernels(tmp_path):
    def fitted(environment):
        return subprocess.check_output(
            [sys.executable, "-c", FIT],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            text=True,
        )

    expected = fitted({})
    assert len(expected.splitlines()) == len(EXACT)
    for kernel, environment in (("Nehalem", FEWER), ("Haswell", {}), ("SkylakeX", {})):
        if not kernels.runs_here(kernel):
            continue
        assert fitted({"OPENBLAS_CORETYPE": kernel} | environment) == expected, kernel


def test_components_of_the_same_variance_are_warned_of(caplog):
    """Any two directions between them are principal components."""
    X = np.array([[0, 0, 9], [0, 100, 9], [100, 0, 9], [100, 100, 9]], np.uint8)
    principal_quadratic.principal_components(X, 2)
    assert "nearly the same variance" in caplog.text
    caplog.clear()
    X[:, 1] //= 2
    mean, components = principal_quadratic.principal_components(X, 2)
    assert not caplog.text
    np.testing.assert_array_equal(mean, [50, 25, 9])
    np.testing.assert_array_equal(components, [[1 / 64, 0, 0], [0, 1 / 32, 0]])


def test_coefficients_that_the_grid_does_not_settle_are_warned_of(
    data, monkeypatch, caplog
):
    train.train(data.train, BLOCKS["random"])
    assert not caplog.text
    monkeypatch.setattr(features, "TOLERANCE", 1e-30)
    train.train(data.train, BLOCKS["random"])
    assert "another processor may give other hashes" in caplog.text


@pytest.mark.parametrize("name", ["quadratic", "radial", "random"])
def test_rounding_moves_the_objective_by_less_than_the_tolerance(data, name):
    model = train.train(data.train, BLOCKS[name])
    X, y = data.train.images.reshape(600, -1), one_hot(data.train)
    F = model.features(X)
    ridge = getattr(BLOCKS[name], "ridge", 0.0)

    def objective(coef, intercept):
        errors = F @ coef.T + intercept - y
        return (errors**2).sum() / len(F) + ridge * (coef**2).sum()

    best = Ridge(alpha=ridge * len(F), solver="svd").fit(F, y)
    minimum = objective(best.coef_, best.intercept_)
    moved = objective(model.coef, model.intercept) - minimum
    assert -1e-13 * minimum < moved < features.TOLERANCE * minimum
