"""`digits predict --csv`: the images of a CSV file, for Kaggle's Digit Recognizer."""

import csv
import gzip
from functools import partial

import numpy as np
import pytest

from digits.config import params
from digits.data import dataset
from tests.helpers.project import ROOT


@pytest.fixture
def run(command):
    return partial(command, "predict")


def text_of(split, *, header, labels):
    """Return a split as the text of a CSV file."""
    rows = split.images.reshape(len(split.images), -1).tolist()
    names = [f"pixel{i}" for i in range(len(rows[0]))]
    if labels:
        rows = [[label, *row] for label, row in zip(split.labels, rows, strict=True)]
        names = ["label", *names]
    lines = [names, *rows] if header else rows
    return "".join(",".join(map(str, line)) + "\n" for line in lines)


def read(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["ImageId", "Label"]
    assert [number for number, _ in rows] == [str(i + 1) for i in range(len(rows))]
    return [int(label) for _, label in rows]


@pytest.fixture
def table(done, tmp_path):
    """The test images of the small project as a CSV file, as Kaggle gives them."""
    split = dataset.load_split(done.root / "data/raw/test")
    path = tmp_path / "test.csv"
    path.write_text(text_of(split, header=True, labels=False))
    return path


def predicted(root, variant):
    with np.load(root / f"data/predictions/{variant}.npz") as file:
        return file["predicted"].tolist()


@pytest.mark.parametrize("variant", ["linear_digits", "one_vs_rest", "multinomial"])
def test_the_submission_has_the_predictions_of_evaluate(done, table, run, variant):
    output = table.with_name("new") / "submission.csv"
    given = ("--in", done.root, "--csv", table, "--output", output, "--variant", variant)
    assert run(*given) == (0, "")
    assert read(output) == predicted(done.root, variant)
    assert [path.name for path in output.parent.iterdir()] == ["submission.csv"]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("labels", [True, False])
def test_header_and_labels_make_no_difference(done, table, run, header, labels):
    split = dataset.load_split(done.root / "data/raw/test")
    text = text_of(split, header=header, labels=labels)
    table.write_bytes(gzip.compress(text.encode()))
    status, out = run("--in", done.root, "--csv", table, "--variant", "multinomial")
    assert status == 0
    (table.parent / "out.csv").write_text(out)
    assert read(table.parent / "out.csv") == predicted(done.root, "multinomial")


def test_a_variant_of_two_classes_can_be_used(done, table, run):
    status, out = run("--in", done.root, "--csv", table, "--variant", "linear_binary")
    assert status == 0
    assert {line.split(",")[1] for line in out.splitlines()[1:]} == {"0", "1"}


def test_a_file_is_replaced_only_if_told_to(done, table, run, caplog):
    output = table.with_name("mine.csv")
    output.write_text("mine")
    given = ("--in", done.root, "--csv", table, "--variant", "multinomial")
    assert run(*given, "--output", output) == (2, "")
    assert "mine.csv: exists; --force replaces it" in caplog.text
    assert output.read_text() == "mine"
    assert run(*given, "--output", output, "--force")[0] == 0
    assert read(output) == predicted(done.root, "multinomial")
    assert run(*given, "--output", output.parent, "--force") == (2, "")
    assert f"{output.parent}: is a folder; give another --output" in caplog.text
    assert output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv", "test.csv"], "--csv takes one variant; name it with --variant: linear_"),
        (["--csv", "test.csv", "a.png"], "--csv takes no images and no --json"),
        (["--csv", "test.csv", "--json"], "--csv takes no images and no --json"),
        (["--output", "a.csv", "a.png"], "--output and --force are for --csv"),
        ([], "name an image, a folder of images, or a file with --csv"),
        (["--csv", "no.csv", "--variant", "multinomial"], "no.csv: cannot be read as CSV"),
    ],
)
def test_arguments_that_do_not_belong_together_are_refused(
    done, run, caplog, arguments, message
):
    assert run("--in", done.root, *arguments) == (2, "")
    assert message in caplog.text


def test_images_of_another_size_are_refused(done, tmp_path, run, caplog):
    (tmp_path / "a.csv").write_text("1,2,3,4\n" * 3)
    given = ("--in", done.root, "--csv", tmp_path / "a.csv", "--variant", "multinomial")
    assert run(*given) == (2, "")
    message = "a.csv: has images of 2 by 2 pixels, but multinomial was trained on images of"
    assert f"{message} 8 by 8" in caplog.text


@pytest.mark.results
def test_mnist_as_csv_gets_the_predictions_of_evaluate(tmp_path, run):
    split = dataset.load_split(ROOT / "data/raw/test")
    table, output = tmp_path / "test.csv", tmp_path / "submission.csv"
    table.write_text(text_of(split, header=True, labels=False))
    for variant in params.load(ROOT / "params.yaml").variants:
        given = ("--in", ROOT, "--csv", table, "--output", output, "--variant", variant)
        assert run(*given, "--force") == (0, "")
        labels = np.array(read(output))
        kept = split.labels < 2 if "binary" in variant else slice(None)
        assert labels[kept].tolist() == predicted(ROOT, variant)
