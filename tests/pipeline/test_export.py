"""The command `digits export`, and the code on docs/export.md."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module

import joblib
import numpy as np
import pytest

from digits import commands
from digits.commands import export
from digits.config import params
from digits.data import dataset
from tests.helpers.documentation import PAGES
from tests.helpers.project import ROOT


@pytest.fixture
def run(done, tmp_path, monkeypatch, capsys):
    """Run the command in a copy of the small project; return its status and output."""
    project = done.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["digits", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        return exit_.value.code, capsys.readouterr().out

    run.project = project
    return run


def test_a_classifier_of_scikit_learn_has_the_labels_of_evaluate(run):
    for name in params.load(run.project.root / "params.yaml").variants:
        status, out = run(name, "--format", "joblib")
        assert status == 0
        assert re.fullmatch(rf"exports/{name}\.joblib: \d+ kB\n", out)
        classifier = joblib.load(f"exports/{name}.joblib")
        subset = classifier.digits_["parameters"]["subset"]
        images = np.load(f"data/subsets/{subset}/test/images.npy")
        with np.load(f"data/predictions/{name}.npz") as predictions:
            np.testing.assert_array_equal(
                classifier.predict(images.reshape(len(images), -1)),
                predictions["predicted"],
            )
    assert not run.project.run("git", "status", "--porcelain").stdout


def test_the_metadata_tells_where_the_model_comes_from(run):
    assert run("linear_binary", "--format", "joblib")[0] == 0
    found = joblib.load("exports/linear_binary.joblib").digits_
    root = run.project.root
    lock = (root / "dvc.lock").read_text()
    commit = run.project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert found["variant"] == "linear_binary"
    assert found["input"].endswith("uint8 from 0 to 255: 8 high, 8 wide")
    assert (found["labels"], found["names"]) == ([0, 1], ["0", "1"])
    assert found["parameters"] == {
        "subset": "binary",
        "train": {"model": "linear_regression"},
        "evaluate": {"threshold": 0.49},
    }
    assert found["metrics"] == json.loads((root / "metrics/linear_binary.json").read_text())
    assert found["data"].pop("name") == "custom"
    assert {*found["data"]} == {"training_images", "test_images"}
    assert all(f"md5: {md5}\n" in lock for md5 in found["data"].values())
    assert (found["commit"], found["is_changed"]) == (commit, False)
    assert {*found["versions"]} == {"python", "digits", "numpy", "scikit-learn"}
    run.project.edit("name: custom", "name: custom  # mine")
    assert run("linear_binary", "--format", "joblib")[0] == 0
    assert joblib.load("exports/linear_binary.joblib").digits_["is_changed"]


def test_another_file_is_replaced_only_if_asked_to(run, tmp_path, caplog):
    path = tmp_path / "a folder/mine.joblib"
    command = ("one_vs_rest", "--format", "joblib", "--output", path)
    status, out = run(*command)
    assert status == 0
    assert out.startswith(f"{path}: ")
    path.write_text("precious")
    assert run(*command) == (1, "")
    assert f"{path}: exists; --force replaces it" in caplog.text
    assert path.read_text() == "precious"
    assert run(*command, "--force")[0] == 0
    assert joblib.load(path).digits_["variant"] == "one_vs_rest"
    assert [*path.parent.iterdir()] == [path]
    folder = tmp_path / "a.joblib"
    folder.mkdir()
    assert run(*command[:-1], folder, "--force") == (1, "")
    assert f"{folder}: is a folder; give another --output" in caplog.text
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "params.yaml has no variant 'nope'; it has linear_binary, "),
        (
            ["multinomial", "--format", "keras"],
            "multinomial: only LeNet-5 is a Keras model; use --format onnx or joblib",
        ),
        (
            ["multinomial", "--output", "a.npz"],
            "a.npz: --format onnx needs a name in .onnx",
        ),
        (
            ["multinomial", "--output", "a.onnx"],
            "a.onnx: is a folder; give another --output",
        ),
    ],
)
def test_a_mistake_is_one_message(run, caplog, arguments, message):
    (run.project.root / "a.onnx").mkdir()
    assert run(*arguments) == (1, "")
    assert message in caplog.text
    assert "Traceback" not in caplog.text
    assert not (run.project.root / "exports").exists()


def test_without_the_package_it_says_how_to_install_it(run, caplog, monkeypatch):
    without = export.FORMATS["onnx"]._replace(library="onnx-is-missing")
    monkeypatch.setitem(export.FORMATS, "onnx", without)
    assert run("multinomial") == (1, "")
    assert "is not installed: run `make setup EXTRAS=export`" in caplog.text
    assert not (run.project.root / "exports").exists()


def test_a_model_of_other_parameters_is_refused(run, caplog):
    run.project.edit("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 2.0")
    assert run("multinomial", "--format", "joblib") == (1, "")
    assert "`dvc repro --force --single-item train@multinomial` makes it" in caplog.text


def test_results_of_another_threshold_are_refused(run, caplog):
    run.project.edit("threshold: 0.49", "threshold: 0.3")
    assert run("linear_binary", "--format", "joblib") == (1, "")
    assert (
        "dvc.lock: its result of evaluate@linear_binary is of another "
        "variants.linear_binary.evaluate than that in params.yaml; "
        "run `dvc repro evaluate@linear_binary`"
    ) in caplog.text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/models/multinomial.npz", "is missing; `dvc repro` trains it"),
        ("metrics/multinomial.json", "is not the one that dvc.lock records"),
        ("dvc.lock", "has no result of evaluate@multinomial"),
    ],
)
def test_a_missing_result_is_named(run, caplog, path, message):
    (run.project.root / path).unlink()
    assert run("multinomial", "--format", "joblib") == (1, "")
    assert f"{path}: {message}" in caplog.text.replace(f"{path} is", f"{path}: is")


def test_metrics_of_another_model_are_refused(run, caplog):
    """A colleague's dvc.lock, without `dvc checkout`."""
    lock = run.project.root / "dvc.lock"
    with np.load("data/models/multinomial.npz") as file:
        arrays = dict(file)
    np.savez("data/models/multinomial.npz", **arrays)  # other bytes
    assert run("multinomial", "--format", "joblib") == (1, "")
    assert "multinomial.npz: is not the one that dvc.lock records; run `dvc" in caplog.text
    assert lock.exists()


def test_messages_name_the_folder_of_another_project(run, caplog, monkeypatch, tmp_path):
    run.project.edit("threshold: 0.49", "threshold: 0.3")
    monkeypatch.chdir(tmp_path)
    assert run("linear_binary", "--format", "joblib", "--in", "project") == (1, "")
    assert "`dvc --cd project repro evaluate@linear_binary`" in caplog.text


CODE = {
    format_: block
    for block in re.findall(r"(?s)```python\n(.*?)```", PAGES["docs/export.md"])
    for format_ in export.FORMATS
    if f".{format_}" in block
}


def run_code(root, format_):
    """Run the code on the page in a folder, without this package; return its output."""
    result = subprocess.run(
        [sys.executable, "-Pc", CODE[format_]],
        cwd=root,
        env={"PATH": os.environ["PATH"], "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not result.returncode, result.stderr
    return result.stdout.splitlines()


def shown(format_):
    """Return what the code on the page prints on MNIST, as its comments say."""
    return re.findall(r"print\(.*\)  # (.+)", CODE[format_])


@pytest.mark.slow
def test_the_code_for_scikit_learn_runs(run):
    assert run("multinomial", "--format", "joblib")[0] == 0
    assert len(run_code(run.project.root, "joblib")) == 3


@pytest.mark.hard
def test_onnxruntime_gives_the_scores_of_evaluate(run):
    onnxruntime = import_module("onnxruntime")
    for name, variant in params.load(run.project.root / "params.yaml").variants.items():
        assert run(name)[0] == 0
        session = onnxruntime.InferenceSession(f"exports/{name}.onnx")
        images = np.load(f"data/subsets/{variant.subset}/test/images.npy")
        labels, scores, *_ = session.run(None, {"images": images})
        with np.load(f"data/predictions/{name}.npz") as predictions:
            np.testing.assert_array_equal(labels, predictions["predicted"])
            np.testing.assert_array_equal(scores, predictions["scores"])
    assert len(run_code(run.project.root, "onnx")) == 3


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with every root variant in each format that it has, and MNIST's images."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "data").symlink_to(ROOT / "data")
    for name, variant in params.load(ROOT / "params.yaml").variants.items():
        other = "keras" if variant.train.model == "lenet5" else "joblib"
        for format_ in ("onnx", other):
            path = folder / f"exports/{name}.{format_}"
            command = ("export", name, "--format", format_, "--output", path)
            subprocess.run([sys.executable, "-m", "digits", *command], cwd=ROOT, check=True)
    return folder


@pytest.mark.hard
@pytest.mark.results
def test_every_variant_has_the_same_labels_on_mnist(exported):
    onnxruntime = import_module("onnxruntime")
    for name, variant in params.load(ROOT / "params.yaml").variants.items():
        images = dataset.load_split(ROOT / f"data/subsets/{variant.subset}/test").images
        with np.load(ROOT / f"data/predictions/{name}.npz") as file:
            predictions = dict(file)
        session = onnxruntime.InferenceSession(exported / f"exports/{name}.onnx")
        batches = [
            session.run(None, {"images": images[i : i + 500]})
            for i in range(0, len(images), 500)
        ]
        labels, scores, *_ = map(np.concatenate, zip(*batches, strict=True))
        np.testing.assert_array_equal(labels, predictions["predicted"])
        np.testing.assert_array_equal(scores, predictions["scores"])
        path = exported / f"exports/{name}.joblib"
        if path.exists():
            labels = joblib.load(path).predict(images.reshape(len(images), -1))
            np.testing.assert_array_equal(labels, predictions["predicted"])


KERAS = """
import keras, numpy as np
images = np.load("data/subsets/digits/test/images.npy")
model = keras.models.load_model("exports/lenet5.keras")
np.save("labels.npy", model.predict(images, verbose=0).argmax(axis=1))
"""


@pytest.mark.hard
@pytest.mark.results
def test_keras_gives_the_same_classes_on_mnist(exported):
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", KERAS]
    subprocess.run(command, cwd=exported, env=environment, check=True)
    with np.load(ROOT / "data/predictions/lenet5.npz") as predictions:
        labels = np.load(exported / "labels.npy")
        np.testing.assert_array_equal(labels, predictions["predicted"])


@pytest.mark.hard
@pytest.mark.results
@pytest.mark.parametrize("format_", export.FORMATS)
def test_the_code_on_the_page_prints_what_it_shows(exported, format_):
    assert run_code(exported, format_) == shown(format_)
