"""The command `digits predict` on the small project and on MNIST."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from digits import commands
from digits.commands import predict
from digits.config import params
from digits.data import dataset
from digits.data.dataset import DIGITS
from digits.images.image_input import Seen
from digits.models.decision import Softmax
from digits.models.linear import LinearModel
from tests.helpers import drawings
from tests.helpers.project import ROOT


@pytest.fixture
def project(done, tmp_path):
    """The small project, with four of its test images as PNG files."""
    project = done.copy(tmp_path / "project")
    (project.root / "digits here").mkdir()
    images = np.load(project.root / "data/raw/test/images.npy")
    for i in (2, 0, 1, 3):
        Image.fromarray(images[i]).save(project.root / f"digits here/{i}.png")
    return project


@pytest.fixture
def main(monkeypatch):
    """Run the command and return its exit status."""

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["digits", "predict", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        return exit_.value.code

    return main


@pytest.fixture
def run(project, main, monkeypatch, capsys):
    """Run the command in the project; return its status and its output."""

    def run(*arguments):
        monkeypatch.chdir(project.root)
        return main(*arguments), capsys.readouterr().out

    return run


TABLE = """\
                   linear_binary  logistic_binary  linear_digits  one_vs_rest  multinomial
file               0 or 1         0 or 1           0 to 9         0 to 9       0 to 9
digits here/0.png  0              0                {}              0            0
digits here/1.png  1              1                {}              1            1
digits here/2.png  {}              {}                {}              2            2
digits here/3.png  {}              {}                {}              3            3
"""


def test_every_variant_classifies_every_image_in_a_folder(project):
    result = project.run("python", "-m", "digits", "predict", "digits here")
    assert result.stderr == ""
    columns = []
    for variant in params.load(project.root / "params.yaml").variants:
        with np.load(project.root / f"data/predictions/{variant}.npz") as file:
            columns.append(file["predicted"][:4].tolist())
    linear = columns[2]
    shown = [line.split()[2:] for line in result.stdout.splitlines()[2:]]
    binary = [[row[0], row[1]] for row in shown[2:]]
    assert result.stdout == TABLE.format(
        linear[0], linear[1], *binary[0], linear[2], *binary[1], linear[3]
    )


def test_a_chosen_variant_prints_its_scores(run):
    status, out = run(
        "--variant", "logistic_binary", "digits here/1.png", "--variant", "linear_digits"
    )
    assert status == 0
    above, below, row = out.splitlines()
    assert above.split() == ["logistic_binary", "probability", "of", "linear_digits"]
    assert below.split() == [
        "file",
        *["0", "or", "1"],
        "0",
        "1",
        *["0", "to", "9"],
        "score",
    ]
    file, there, digit, zero, one, other, score = row.split()
    assert (file, there, digit) == ("digits", "here/1.png", "1")
    assert float(zero) + float(one) == pytest.approx(1, abs=2e-4)
    assert float(one) > 0.5
    assert float(score) == pytest.approx(int(other), abs=0.5)


def test_json_has_the_scores_of_evaluate(run, project):
    status, out = run("--json", "digits here/3.png", "digits here/0.png")
    assert status == 0
    predictions = json.loads(out)
    assert [prediction["file"] for prediction in predictions] == [
        "digits here/3.png",
        "digits here/0.png",
    ]
    for name in ("linear_digits", "one_vs_rest", "multinomial"):
        with np.load(project.root / f"data/predictions/{name}.npz") as file:
            prediction = predictions[0]["variants"][name]
            assert prediction["scores"] == file["scores"][3].tolist()
            assert prediction["class"] == file["predicted"][3]
    probabilities = predictions[0]["variants"]["multinomial"]["probabilities"]
    assert [*probabilities] == [str(digit) for digit in range(10)]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert "probabilities" not in predictions[0]["variants"]["linear_binary"]


def test_an_unreadable_image_is_one_line_and_the_others_are_classified(project):
    (project.root / "text.png").write_text("7")
    (project.root / "empty").mkdir()
    result = project.run(
        "python", "-m", "digits", "predict", "text.png", "nosuch.png", "empty",
        "digits here/1.png", check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: empty: there is no image in this folder",
        "error: text.png: is not an image (PNG, JPEG, WEBP, BMP, GIF, TIFF, AVIF)",
        "error: nosuch.png: No such file or directory",
    ]
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        "file",
        "digits",
    ]


def test_without_a_readable_image_nothing_is_printed(run, project):
    (project.root / "text.png").write_text("7")
    assert run("text.png") == (1, "")
    assert run("--json", "text.png") == (1, "[]\n")


def test_a_missing_model_is_refused_with_the_remedy(run, project, caplog):
    (project.root / "data/models/one_vs_rest.npz").unlink()
    assert run("digits here/1.png") == (2, "")
    assert "one_vs_rest.npz is missing; `dvc repro` trains it" in caplog.text
    assert run("--variant", "multinomial", "digits here/1.png")[0] == 0


def test_an_unknown_variant_is_refused_with_the_known_ones(run, caplog):
    assert run("--variant", "nosuch", "digits here/1.png") == (2, "")
    assert "no variant 'nosuch'; it has linear_binary, linear_digits" in caplog.text


def test_a_model_of_another_size_is_refused(run, project, caplog):
    path = project.root / "data/raw/test/images.npy"
    np.save(path, np.load(path)[:, 1:])
    assert run("digits here/1.png") == (2, "")
    assert "trained on images of another size" in caplog.text
    path.write_text("{")
    assert run("digits here/1.png") == (2, "")
    assert "images.npy: cannot be read" in caplog.text


def test_batches_change_neither_predictions_nor_order(run, monkeypatch):
    whole = run("--json", "digits here")
    monkeypatch.setattr(predict, "BATCH_SIZE", 3)
    (_, expected), (_, split) = whole, run("--json", "digits here")
    files = [
        [prediction["file"] for prediction in json.loads(out)] for out in (expected, split)
    ]
    assert files[0] == files[1]
    digits = [
        [
            [v["class"] for v in prediction["variants"].values()]
            for prediction in json.loads(out)
        ]
        for out in (expected, split)
    ]
    assert digits[0] == digits[1]


NO_IMAGE = "its name does not end in .avif .bmp .gif .jpeg .jpg .png .tif .tiff .webp"


def test_every_file_in_a_folder_is_an_image_or_named_with_the_reason(tmp_path):
    for name in ("b.PNG", "a/c.jpeg", "a/.hidden.png", "notes.txt", "d.png/e.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = predict.find(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in found.images] == [
        "a/c.jpeg",
        "b.PNG",
    ]
    assert {str(f.relative_to(tmp_path)): why for f, why in found.others.items()} == {
        "a/.hidden.png": "is hidden",
        "d.png/e.heic": NO_IMAGE,
        "link": "is a symbolic link to a folder, which is not followed",
        "notes.txt": NO_IMAGE,
    }
    assert predict.find(tmp_path / "notes.txt").images == [tmp_path / "notes.txt"]


def test_a_file_that_is_not_classified_is_a_warning(project):
    (project.root / "digits here/photo.heic").write_text("7")
    (project.root / "empty").mkdir()
    (project.root / "empty/photo.heic").write_text("7")
    result = project.run(
        *("python", "-m", "digits", "predict", "digits here", "empty"), check=False
    )
    assert result.returncode == 1  # because of the folder without an image
    assert len(result.stdout.splitlines()) == 2 + 4
    assert result.stderr.splitlines() == [
        f"warning: digits here/photo.heic: not classified: {NO_IMAGE}",
        f"warning: empty/photo.heic: not classified: {NO_IMAGE}",
        "error: empty: there is no image in this folder",
    ]


def test_a_doubt_is_a_warning_and_a_field_in_json(project, run, monkeypatch, caplog):
    images = np.load(project.root / "data/raw/test/images.npy")
    doubts = {"0.png": ("there may be two digits in it",), "1.png": ()}
    monkeypatch.setattr(
        predict.image_input,
        "load",
        lambda path, *_, **__: Seen(images[0], doubts[path.name]),
    )
    status, out = run("--json", "digits here/0.png", "digits here/1.png")
    assert status == 0
    assert [each["warnings"] for each in json.loads(out)] == [[*d] for d in doubts.values()]
    assert caplog.messages == ["warning: digits here/0.png: there may be two digits in it"]
    assert len(run("digits here/0.png")[1].splitlines()) == 3


@pytest.mark.parametrize(
    ("digits", "heading"),
    [([3, 8], "3 or 8"), ([0, 1, 2], "0 to 2"), ([1, 3, 8], "1 or 3 or 8")],
)
def test_the_heading_names_the_classes_of_a_variant(digits, heading):
    n = len(digits)
    model = LinearModel(
        mean=np.zeros(4),
        scale=np.ones(4),
        coef=np.zeros((n, 4)),
        intercept=np.zeros(n),
        classes=np.array(digits),
        decision=Softmax(),
    )
    assert predict.Variant("v", model, (), DIGITS).class_summary == heading


def test_the_reader_of_the_output_may_stop(project):
    command = "digits predict 'digits here' | head -n 1"
    result = project.run("bash", "-c", command)
    assert "linear_binary" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("command", ["compare", "predict"])
def test_every_command_has_a_help_text(done, command):
    shown = done.run("python", "-m", "digits", command, "--help").stdout
    assert f"examples:\n  digits {command}" in shown
    assert "exit status: 0 if" in shown


def test_an_image_has_the_same_scores_alone_as_in_a_folder(run):
    together = {each["file"]: each for each in json.loads(run("--json", "digits here")[1])}
    assert len(together) == 4
    for name, expected in together.items():
        assert json.loads(run("--json", name)[1]) == [expected]


@pytest.mark.results
@pytest.mark.parametrize("negative", [False, True])
def test_test_images_as_files_get_the_predictions_of_evaluate(
    tmp_path, main, capsys, negative
):
    split = dataset.load_split(ROOT / "data/raw/test")
    for i, pixels in enumerate(split.images):
        image = Image.fromarray(255 - pixels if negative else pixels)
        image.save(tmp_path / f"{i:05}.png", compress_level=1)
    assert main("--in", ROOT, "--json", tmp_path) == 0
    predictions = json.loads(capsys.readouterr().out)
    assert len(predictions) == 10_000
    for variant in params.load(ROOT / "params.yaml").variants:
        chosen = [
            prediction["variants"][variant]
            for prediction, label in zip(predictions, split.labels, strict=True)
            if "binary" not in variant or label < 2
        ]
        with np.load(ROOT / f"data/predictions/{variant}.npz") as file:
            assert [prediction["class"] for prediction in chosen] == file[
                "predicted"
            ].tolist()
            scores = np.array([prediction["scores"] for prediction in chosen])
            assert (scores == file["scores"]).all()
    shutil.rmtree(tmp_path)


@pytest.mark.results
def test_the_command_recognises_a_drawn_seven(tmp_path, main, capsys):
    path = drawings.save(drawings.KINDS["photographed"](drawings.digit(7)), tmp_path)
    assert main("--in", ROOT, "--variant", "multinomial", path) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[1] == "7"
