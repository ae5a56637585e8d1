import dataclasses
import io
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from digits.errors import InputError
from digits.methods import lenet5
from digits.methods.lenet5 import Checkpoint, LeNet5, Options
from digits.models import serialization
from digits.models.base import TrainingSet
from digits.models.decision import Softmax
from digits.models.training_log import TrainingLog
from digits.report import content
from stages import train
from tests.helpers.project import ROOT

OPTIONS = Options(
    model="lenet5",
    epochs=3,
    batch_size=32,
    learning_rate=0.01,
    weight_decay=0.01,
    max_shift=1,
    validation_split=0.1,
    seed=0,
)
ARRAYS = [field.name for field in dataclasses.fields(LeNet5) if field.type is np.ndarray]
WEIGHTS = [name for name in ARRAYS if name not in ("classes", "kernels")]


def drawn(height, width, n_classes):
    """Return a network with random weights."""
    rng = np.random.default_rng(0)
    sides = [lenet5.map_side(side) for side in (height, width)]
    shapes = {
        "kernel_1": (5, 5, 1, 6), "bias_1": 6, "kernel_2": (5, 5, 6, 16), "bias_2": 16,
        "dense_1": (16 * sides[0] * sides[1], 120), "bias_3": 120,
        "dense_2": (120, 84), "bias_4": 84, "dense_3": (84, n_classes), "bias_5": n_classes,
    }  # fmt: skip
    arrays = {
        name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()
    }
    classes = np.arange(n_classes, dtype=np.uint8)
    return LeNet5(classes=classes, decision=Softmax(), height=height, width=width, **arrays)


def test_for_28_by_28_images_it_has_61706_weights():
    """As in the paper, but all 6 maps feed each of the 16, and the output is dense."""
    model = drawn(28, 28, 10)
    assert sum(getattr(model, name).size for name in WEIGHTS) == 61706


@pytest.mark.parametrize(
    ("height", "width", "n_classes"),
    [(1, 1, 2), (8, 8, 10), (28, 28, 10), (29, 30, 3), (64, 64, 100), (20, 64, 5)],
)
def test_images_of_any_size_get_a_score_for_each_class(tmp_path, height, width, n_classes):
    model = drawn(height, width, n_classes)
    images = np.random.default_rng(1).integers(0, 256, (7, height, width), np.uint8)
    scores = model.scores(images)
    assert (scores.shape, scores.dtype) == ((7, n_classes), np.float64)
    assert model.scores(images[:0]).shape == (0, n_classes)
    serialization.save(model, tmp_path / "model.npz")
    loaded = serialization.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.scores(images), scores)
    assert loaded.n_pixels == height * width


@pytest.mark.parametrize("size", [(9, 9), (8, 10)])
def test_a_pooled_convolution_is_the_largest_sum_over_four_windows(size):
    rng = np.random.default_rng(0)
    maps, kernel = rng.normal(size=(3, *size, 2)), rng.normal(size=(5, 5, 3, 4))
    sums = np.array(
        [[[(maps[:, i : i + 5, j : j + 5, n, None].transpose(1, 2, 0, 3) * kernel)
           .sum(axis=(0, 1, 2)) for n in range(2)]
          for j in range(size[1] - 4)] for i in range(size[0] - 4)]
    )  # fmt: skip
    high, wide = (size[0] - 4) // 2, (size[1] - 4) // 2
    squares = sums[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, 2, 4)
    found = lenet5.convolve_and_pool(maps, lenet5._pooled_kernel(kernel))
    np.testing.assert_allclose(found, squares.max(axis=(1, 3)).transpose(3, 0, 1, 2))


def test_scores_are_close_to_those_of_the_unrounded_network():
    model = drawn(28, 28, 10)
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), np.uint8)
    maps = lenet5.pad(images)[..., None] / 255
    for kernel, bias in ((model.kernel_1, model.bias_1), (model.kernel_2, model.bias_2)):
        windows = np.lib.stride_tricks.sliding_window_view(maps, (5, 5), axis=(1, 2))
        maps = np.maximum(np.einsum("nyxcij,ijco->nyxo", windows, kernel) + bias, 0)
        n, high, wide, _ = maps.shape
        maps = maps.reshape(n, high // 2, 2, wide // 2, 2, -1).max(axis=(2, 4))
    hidden = np.maximum(maps.reshape(5, -1) @ model.dense_1 + model.bias_3, 0)
    hidden = np.maximum(hidden @ model.dense_2 + model.bias_4, 0)
    expected = hidden @ model.dense_3 + model.bias_5
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model.scores(images), expected, atol=1e-5 * scale)


def scaled(**factors):
    """Return a network with random weights, some of them multiplied."""
    model = drawn(28, 28, 10)
    arrays = {
        name: getattr(model, name) * np.float32(factor) for name, factor in factors.items()
    }
    return dataclasses.replace(model, **arrays)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    "model",
    [
        drawn(28, 28, 10),
        drawn(41, 36, 3),
        scaled(kernel_1=1e-20),  # a bias that decides alone
        scaled(bias_2=1e20, dense_1=1e-20),
        scaled(**dict.fromkeys(("kernel_2", "bias_2", "dense_2", "dense_3"), 0)),
        scaled(**dict.fromkeys(WEIGHTS, 1e20)),
        scaled(**dict.fromkeys(WEIGHTS, 1e-40)),
    ],
    ids=["drawn", "large", "bias", "mixed", "zeros", "huge", "tiny"],
)
def test_no_image_leads_to_a_sum_that_float64_cannot_hold(model):
    """In fractions of whole numbers: the bound of each layer, less than 2⁵³ grid steps."""
    arrays = model.on_grids
    weights = [arrays[n] for n in ("kernel_1", "kernel_2", "dense_1", "dense_2", "dense_3")]
    upper = [Fraction(255)]
    for i, weight in enumerate(weights, start=1):
        rows = weight.reshape(-1, weight.shape[-1])
        rows = np.array([list(map(Fraction, row)) for row in rows.tolist()])
        bias = np.array([Fraction(value) for value in arrays[f"bias_{i}"].tolist()])
        grid = Fraction(1, max(value.denominator for value in [*rows.flat, *bias]))
        if grid == 1:  # a coarser one may do
            grid = Fraction(math.gcd(*(int(value) for value in [*rows.flat, *bias])) or 1)
        inputs = np.tile(np.array(upper), len(rows) // len(upper))
        assert (inputs @ abs(rows) + abs(bias)).max() <= 2**53 * grid
        most = inputs @ np.maximum(rows, Fraction(0)) + bias
        upper = [Fraction(max(math.floor(value), 0)) for value in most]
    assert np.isfinite(model.scores(np.full((1, model.height, model.width), 255))).all()


def test_each_image_gets_its_score_whatever_is_scored_with_it():
    model = drawn(28, 28, 10)
    images = np.random.default_rng(1).integers(0, 256, (50, 28, 28), np.uint8)
    images[25:] //= 64
    scores = model.scores(images)
    order = np.random.default_rng(2).permutation(50)
    np.testing.assert_array_equal(model.scores(images[order]), scores[order])
    one_by_one = [model.scores(image[None])[0] for image in images]
    np.testing.assert_array_equal(one_by_one, scores)


def test_the_order_of_a_sum_does_not_matter():
    """Mirrored images, kernels and rows of the first dense layer."""
    model = drawn(28, 28, 10)
    images = np.random.default_rng(1).integers(0, 256, (20, 28, 28), np.uint8)
    order = np.random.default_rng(2).permutation(120)
    dense_1 = model.dense_1.reshape(5, 5, 16, 120)[::-1, ::-1]
    mirrored = dataclasses.replace(
        model,
        kernel_1=model.kernel_1[::-1, ::-1],
        kernel_2=model.kernel_2[::-1, ::-1],
        dense_1=dense_1.reshape(400, 120)[:, order],
        bias_3=model.bias_3[order],
        dense_2=model.dense_2[order],
    )
    scores = model.scores(images)
    np.testing.assert_array_equal(mirrored.scores(images[:, ::-1, ::-1]), scores)


@pytest.mark.parametrize(
    ("model", "dtypes"),
    [
        (drawn(28, 28, 10), {"float32"}),
        (scaled(**dict.fromkeys(WEIGHTS, 1e20)), {"float32", "float64"}),
    ],
)
def test_the_page_gets_the_weights_without_loss(model, dtypes):
    arrays = content._model_arrays(model)
    assert {str(values.dtype) for values in arrays.values()} == dtypes
    for name, values in model.on_grids.items():
        np.testing.assert_array_equal(arrays[name], values)


@pytest.mark.slow
@pytest.mark.long
def test_each_blas_kernel_and_number_of_threads_gives_the_same_scores():
    program = (
        "import numpy as np, hashlib; from tests.unit.test_lenet5 import drawn;"
        "images = np.random.default_rng(1).integers(0, 256, (40, 28, 28), np.uint8);"
        "scores = drawn(28, 28, 10).scores(images);"
        "print(hashlib.sha256(scores.tobytes()).hexdigest())"
    )
    settings = [
        {"OPENBLAS_CORETYPE": core, "OMP_NUM_THREADS": threads}
        for core, threads in [("Nehalem", "1"), ("Haswell", "2")]
    ]
    digests = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | setting,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        for setting in [{}, *settings]
    ]
    assert len(set(digests)) == 1


def test_weights_of_another_size_of_image_are_refused(tmp_path):
    serialization.save(
        dataclasses.replace(drawn(28, 28, 10), height=40), tmp_path / "model.npz"
    )
    with pytest.raises(InputError, match="dense_1 has shape"):
        serialization.load(tmp_path / "model.npz")


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(0),
)
def test_the_validation_split_is_stratified(y, share, seed):
    y = np.array(y)
    training, validation = lenet5.split(y, share, seed)
    assert sorted([*training, *validation]) == list(range(len(y)))
    assert min(len(training), len(validation)) >= 1
    of_class = np.bincount(y[validation], minlength=5)
    expected = np.bincount(y, minlength=5) * len(validation) / len(y)
    assert np.abs(of_class - expected).max() <= 1


def test_all_shifts_are_available_and_padded_with_black():
    images = np.random.default_rng(0).integers(1, 256, (3, 9, 8), dtype=np.uint8)
    shifts = lenet5.all_shifts_view(images, 2)
    assert shifts.shape == (3, 5, 5, 9, 8)
    for down in range(-2, 3):
        for right in range(-2, 3):
            expected = ndimage.shift(images, (0, down, right), order=0, cval=0)
            np.testing.assert_array_equal(shifts[:, 2 - down, 2 - right], expected)
    np.testing.assert_array_equal(lenet5.all_shifts_view(images, 0)[:, 0, 0], images)


def test_all_shifts_are_drawn():
    drawn = lenet5.random_shifts(300, 1, np.random.default_rng(0))
    pairs, counts = np.unique(drawn, axis=1, return_counts=True)
    assert pairs.T.tolist() == [[i, j] for i in range(3) for j in range(3)]
    assert counts.min() > 15  # 33 on average


def fitted(tiny, checkpoint_dir, options=OPTIONS):
    training_log = TrainingLog(checkpoint_dir=checkpoint_dir)
    return train.train(tiny.train, options, training_log), training_log


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


@pytest.fixture(scope="module")
def training(tiny, tmp_path_factory):
    """An undisturbed training, and the checkpoint that it wrote after its second epoch."""
    checkpoint_dir = tmp_path_factory.mktemp("training") / "checkpoint"
    checkpoints = {}

    def save(self, state, training_log, epoch):
        original(self, state, training_log, epoch)
        (path,) = checkpoint_dir.iterdir()
        checkpoints[epoch] = path.name, path.read_bytes()

    original = Checkpoint.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", save)
        result = fitted(tiny, checkpoint_dir)
    assert not checkpoint_dir.exists()
    return result, checkpoints[2]


@pytest.fixture
def calm(training):
    """The model and the training log of the undisturbed training."""
    return training[0]


@pytest.fixture
def left(training):
    """The checkpoint that remains if the training is killed after its second epoch."""
    name, content = training[1]
    assert name == "lenet5.npz"
    return content


@pytest.fixture
def killed(left, tmp_path):
    """The path of that checkpoint in a checkpoint folder."""
    path = tmp_path / "checkpoint/lenet5.npz"
    path.parent.mkdir()
    path.write_bytes(left)
    return path


@pytest.fixture
def epochs(monkeypatch):
    """Record the epochs that are trained."""
    trained = []
    whole = Checkpoint.save

    def save(self, state, training_log, epoch):
        trained.append(epoch)
        whole(self, state, training_log, epoch)

    monkeypatch.setattr(Checkpoint, "save", save)
    return trained


@pytest.mark.slow
@pytest.mark.long
def test_the_first_kernels_of_each_epoch_are_recorded(calm, training):
    model, _ = calm
    assert model.kernels.shape == (OPTIONS.epochs + 1, 5, 5, 1, 6)
    assert model.kernels.dtype == np.float32
    assert (model.kernels[-1] == model.kernel_1).all()
    moved = np.abs(np.diff(model.kernels, axis=0)).max(axis=(1, 2, 3, 4))
    assert (moved > 0).all()
    with np.load(io.BytesIO(training[1][1])) as checkpoint:
        assert (checkpoint["kernels"] == model.kernels[:3]).all()
        assert (checkpoint["v0"] == model.kernels[2]).all()


def test_kernels_of_another_shape_or_not_finite_are_refused():
    model = drawn(8, 8, 3)
    kernels = np.zeros((3, *model.kernel_1.shape), np.float32)
    assert dataclasses.replace(model, kernels=kernels).problem() is None
    for wrong in (kernels[..., :5], kernels + np.nan, kernels.astype(float)):
        assert "kernels has" in dataclasses.replace(model, kernels=wrong).problem()


@pytest.mark.slow
def test_each_epoch_is_measured_on_both_splits(calm):
    _, training_log = calm
    steps = {(measure, split): [] for _, measure, split, _ in training_log.rows}
    for step, measure, split, _ in training_log.rows:
        steps[measure, split].append(step)
    assert set(steps) == {
        (measure, split)
        for measure in ("cross-entropy", "accuracy")
        for split in ("training", "validation")
    }
    assert all(at == [1, 2, 3] for at in steps.values())
    loss = [
        value
        for _, m, of, value in training_log.rows
        if (m, of) == ("cross-entropy", "training")
    ]
    assert loss[-1] < loss[0]


@pytest.mark.long
def test_scores_are_those_of_keras(calm, tiny):
    model, _ = calm
    network = lenet5.build_network(lenet5.import_keras()[0], (32, 32), 10, seed=0)
    network.set_weights([getattr(model, name) for name in WEIGHTS])
    expected = network.predict(lenet5.pad(tiny.test.images)[..., None], verbose=0)
    np.testing.assert_allclose(model.scores(tiny.test.images), expected, atol=1e-4)


@pytest.mark.long
def test_the_measures_of_the_last_epoch_are_those_of_the_model(calm, tiny):
    model, training_log = calm
    y = tiny.train.labels
    _, held_out = lenet5.split(y, OPTIONS.validation_split, OPTIONS.seed)
    scores = model.scores(tiny.train.images[held_out])
    log_p = model.decision.log_probabilities(scores)
    last = {(measure, split): value for _, measure, split, value in training_log.rows}
    right = (scores.argmax(axis=1) == y[held_out]).mean()
    assert last["accuracy", "validation"] == pytest.approx(right, abs=1e-6)
    loss = -log_p[np.arange(len(held_out)), y[held_out]].mean()
    assert last["cross-entropy", "validation"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.long
def test_a_killed_training_resumes_and_ends_like_an_undisturbed_one(
    tiny, killed, calm, epochs, caplog
):
    caplog.set_level("INFO")
    model, training_log = fitted(tiny, killed.parent)
    assert epochs == [3]
    values = {(measure, split): v for _, measure, split, v in training_log.rows}
    assert caplog.messages[-1] == (
        f"epoch 3 of 3: cross-entropy {values['cross-entropy', 'training']:.4f}, "
        f"validation accuracy {values['accuracy', 'validation']:.4f}"
    )
    assert equal(model, calm[0])
    assert training_log.rows == calm[1].rows
    assert not killed.parent.exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.long
@pytest.mark.parametrize(
    "damage",
    [
        flip,
        pytest.param(lambda path: path.write_bytes(b""), marks=pytest.mark.slow),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:1000]), marks=pytest.mark.slow
        ),
    ],
)
def test_a_damaged_checkpoint_is_ignored_with_a_warning(tiny, killed, calm, caplog, damage):
    damage(killed)
    model, _ = fitted(tiny, killed.parent)
    assert "starting again" in caplog.text
    assert equal(model, calm[0])


@pytest.mark.slow
def test_a_checkpoint_for_other_parameters_or_data_is_not_used(tiny, left, killed, epochs):
    fitted(tiny, killed.parent, OPTIONS.model_copy(update={"learning_rate": 0.02}))
    assert epochs == [1, 2, 3]
    epochs.clear()
    killed.parent.mkdir()
    killed.write_bytes(left)
    images = tiny.train.images.copy()
    images[0, 3, 3] ^= 1
    train.train(
        tiny.train._replace(images=images),
        OPTIONS,
        TrainingLog(checkpoint_dir=killed.parent),
    )
    assert epochs == [1, 2, 3]


def with_another_library(patch):
    patch.setattr(np, "__version__", "0")


def without_avx2(patch):
    patch.setattr(lenet5, "has_avx2", lambda: False)


@pytest.mark.parametrize("change", [with_another_library, without_avx2])
def test_a_checkpoint_of_other_arithmetic_is_not_used(
    tiny, tmp_path, monkeypatch, caplog, change
):
    def checkpoint():
        path = tmp_path / "lenet5.npz"
        data = TrainingSet(*tiny.train, np.arange(10, dtype=np.uint8))
        return Checkpoint(path, data, OPTIONS)

    caplog.set_level("INFO")
    checkpoint().save([], TrainingLog(), 2)
    assert checkpoint().load([], TrainingLog()) == 2
    change(monkeypatch)
    assert checkpoint().load([], TrainingLog()) == 0
    assert "or of another processor: starting again" in caplog.text


@pytest.mark.slow
def test_another_seed_gives_other_weights(tiny, tmp_path, calm):
    model, _ = fitted(tiny, tmp_path / "0")
    assert equal(model, calm[0])
    other, _ = fitted(tiny, tmp_path / "1", OPTIONS.model_copy(update={"seed": 1}))
    assert not equal(other, calm[0])


@pytest.mark.slow
def test_it_learns_images_of_8_by_8(tiny, tmp_path):
    options = OPTIONS.model_copy(update={"epochs": 15})
    model, _ = fitted(tiny, tmp_path / "checkpoint", options)
    assert np.mean(model.scores(tiny.test.images).argmax(axis=1) == tiny.test.labels) > 0.9


@pytest.mark.parametrize("module", ["keras", "tensorflow"])
def test_without_tensorflow_training_names_what_is_missing(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"lenet5 is trained with Keras.*Python 3\.11 to"):
        lenet5.import_keras()


def test_settings_of_tensorflow_are_ignored(monkeypatch):
    names = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "KERAS_MAX_EPOCHS")
    for name in names:
        monkeypatch.setenv(name, "0")
    for name in ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "nonsense")  # pytest restores it
    for module in ("keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, Mock())
    lenet5.import_keras()
    set_ = {name: os.environ[name] for name in {*names} & {*os.environ}}
    assert set_ == {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ({"found": ["AVX2", "AVX512F"]}, True),  # NumPy 2.3
        ({"found": ["X86_V3"]}, True),
        ({"found": ["ASIMDHP"]}, False),  # ARM
        ({}, False),
    ],
)
def test_avx2_is_found_by_numpys_names(monkeypatch, extensions, expected):
    monkeypatch.setattr(np, "show_config", lambda _: {"SIMD Extensions": extensions})
    assert lenet5.has_avx2() is expected


@pytest.mark.parametrize("has_avx2", [True, False])
def test_a_training_without_avx2_says_that_hashes_will_differ(
    tiny, tmp_path, monkeypatch, caplog, has_avx2
):
    monkeypatch.setattr(lenet5, "has_avx2", lambda: has_avx2)
    monkeypatch.setattr(lenet5, "build_network", Mock(side_effect=InterruptedError))
    with pytest.raises(InterruptedError):
        fitted(tiny, tmp_path)
    said = "has no AVX2: the weights and their hashes will differ" in caplog.text
    assert said is not has_avx2


@pytest.mark.slow
def test_dvc_trains_and_evaluates_it_quietly_and_reproducibly(fresh_with_lenet5):
    project = fresh_with_lenet5
    ran = project.run("dvc", "repro", "evaluate@lenet5")
    assert "train@lenet5" in project.stages_run(ran)
    assert not {"TensorFlow", "oneDNN", "WARNING", "cuda"} & set(ran.stderr.split())
    assert json.loads((project.root / "metrics/lenet5.json").read_text())["accuracy"] > 0
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    project.repro("--force", "--single-item", "train@lenet5")
    assert yaml.safe_load((project.root / "dvc.lock").read_text()) == lock
    program = (
        "import sys, pathlib; from digits.config import params;"
        "from stages import evaluate;"
        "evaluate.main(params.load(), 'lenet5', pathlib.Path());"
        "print(*{'keras', 'tensorflow', 'sklearn', 'h5py'} & set(sys.modules))"
    )
    assert not project.run(sys.executable, "-c", program).stdout.split()
    assert not list(project.root.glob("data/unfinished/*"))
