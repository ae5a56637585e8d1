"""The parameters that change images of your own when they are read."""

import argparse
import json
import logging
import re

import numpy as np
import pytest
from PIL import Image

from digits.commands import predict
from digits.config import params
from digits.config.params import Dataset
from digits.data import arrays, large, readers
from digits.data.options import KEEP, Options
from digits.errors import InputError
from digits.images import image_input
from digits.images.mnist_format import is_mnist_format, to_mnist_format
from stages import download, train
from stages import filter as filter_
from tests.helpers import drawings
from tests.helpers.project import ROOT

LABELS = np.array([0, 1, 0, 1], np.uint8)


def read(images, **options):
    """Return the training images that are read from an array, which are also the test's."""
    given = {"x_train": images, "y_train": LABELS, "x_test": images, "y_test": LABELS}
    return arrays.to_dataset(given, "here", options=Options(**options)).train.images


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (len(LABELS), *shape)).astype(np.uint8)


def drawn(size=(60, 90)):
    """Return four drawings of digits, light on dark."""
    ink = [drawings.digit(name, size) for name in (3, 4, 7, 3)]
    return np.rint(255 * np.array(ink)).astype(np.uint8)


def test_by_default_nothing_is_changed():
    assert Dataset(name="custom", source="data/own/mine").options == KEEP
    assert not KEEP.changes_images
    images = noise(4, 6)
    np.testing.assert_array_equal(read(images), images)


def test_images_are_transposed_and_inverted():
    images = noise(4, 6)
    np.testing.assert_array_equal(read(images, transpose=True), images.swapaxes(1, 2))
    np.testing.assert_array_equal(read(images, invert=True), 255 - images)
    assert read(images / 255, invert=True).dtype == np.uint8


def test_arrays_of_large_images_are_brought_to_a_size(caplog):
    caplog.set_level(logging.INFO)
    images = noise(7, 7)
    large = images.repeat(20, axis=1).repeat(20, axis=2)
    np.testing.assert_array_equal(read(large, size=(7, 7)), images)
    assert "here: x_train: all images are brought to 7 by 7 pixels" in caplog.text
    with pytest.raises(InputError, match=r"140 by 140 pixels.*set dataset\.size"):
        read(large)


@pytest.mark.parametrize("change", [lambda a: a, lambda a: 255 - a, lambda a: a // 2])
def test_digits_of_any_contrast_are_centred_as_in_predict(tmp_path, caplog, change):
    caplog.set_level(logging.INFO)
    images = change(drawn())
    centred = read(images, size=(28, 28), centre=True)
    assert "x_train: 4 of 4 images are changed to be centred" in caplog.text
    for image, seen in zip(images, centred, strict=True):
        assert is_mnist_format(seen)
        Image.fromarray(image).save(tmp_path / "drawing.png")
        alike = image_input.load(tmp_path / "drawing.png", (28, 28), mnist_like=True).pixels
        np.testing.assert_array_equal(seen, alike)


def test_images_in_the_format_of_mnist_stay_as_they_are():
    images = np.array([to_mnist_format(image) // 2 for image in drawn()])
    np.testing.assert_array_equal(read(images, centre=True), images)


def test_a_folder_of_digits_is_centred_as_an_array_is(tmp_path):
    for i, image in enumerate(255 - drawn()):
        for split in ("train", "test"):
            path = tmp_path / split / str(LABELS[i]) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    options = Options(size=(28, 28), centre=True)
    data = readers.read(tmp_path, options=options)
    np.testing.assert_array_equal(
        data.train.images, read(drawn(), size=(28, 28), centre=True)
    )
    Image.new("L", (60, 90), 200).save(tmp_path / "train/0/empty.png")
    with pytest.raises(InputError, match=r"empty\.png: is empty, or its ink is too faint"):
        readers.read(tmp_path, options=options)


def test_an_array_with_an_empty_image_is_not_centred(monkeypatch):
    monkeypatch.setattr(large, "BLOCK_ROWS", 2)
    images = drawn()
    images[2] = 200
    with pytest.raises(InputError, match="here: x_train: in image 2 is no ink to centre"):
        read(images, size=(28, 28), centre=True)


def test_the_documentation_has_each_parameter_that_changes_images():
    (table,) = re.findall(
        r"<!-- formats: changes.*?-->\n\n(.*?)\n\n",
        (ROOT / "docs/data.md").read_text(),
        re.DOTALL,
    )
    listed = re.findall(r"(?m)^\| `(\w+):", table)
    assert sorted(listed) == sorted({*Options._fields} - {"test_share", "seed"})


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"size": [28]}, "size"),
        ({"size": [28, 65]}, "less than or equal to 64"),
        ({"size": [28, 0]}, "greater than or equal to 1"),
        ({"invert": 1}, "invert"),
        ({"centre": True, "invert": True}, "remove invert"),
        ({"name": "mnist", "source": "auto", "centre": True}, "centre is only for custom"),
    ],
)
def test_wrong_parameters_are_refused(block, expected):
    with pytest.raises(ValueError, match=expected):
        Dataset(**{"name": "custom", "source": "data/own/mine"} | block)


def test_predict_and_the_page_know_that_digits_are_centred():
    custom = {"name": "custom", "source": "data/own/mine"}
    assert Dataset(**custom, centre=True).mnist_like
    assert not Dataset(**custom).mnist_like
    assert Dataset(name="mnist", source="auto").mnist_like


@pytest.mark.long
@pytest.mark.parametrize("how", ["centre: true", "invert: true"])
def test_predict_changes_images_as_the_training_did(tmp_path, capsys, how):
    """Threes and sevens on paper, at other places and of other sizes than in training."""
    pen, paper = [20, 30, 120], [240, 235, 220]
    for i in range(16):
        digit, side = (3, 7)[i % 2], 60 + 3 * i
        path = tmp_path / f"data/own/mine/{digit}/{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawings.mix(drawings.digit(digit, (side, 90)), pen, paper).save(path)
    (tmp_path / "params.yaml").write_text(f"""\
dataset: {{name: custom, source: data/own/mine, test_share: 0.25, size: [28, 28], {how}}}
subsets: {{pair: {{classes: [3, 7]}}}}
variants:
  soft:
    subset: pair
    train: {{model: logistic_regression, C: 0.1, max_iter: 100, tol: 1.0e-6}}
    evaluate: {{}}
""")
    checked = params.load(tmp_path / "params.yaml")
    download.main(checked, tmp_path)
    filter_.main(checked, "pair", tmp_path)
    train.main(checked, "soft", tmp_path)
    drawings.mix(drawings.digit(3, (200, 220)), pen, paper).save(tmp_path / "3.png")
    drawings.mix(drawings.digit(7, (200, 220)), pen, paper).save(tmp_path / "7.png")
    images = [str(tmp_path / "3.png"), str(tmp_path / "7.png")]
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    capsys.readouterr()
    given = parser.parse_args(["--in", str(tmp_path), "--json", *images])
    assert predict.main(given) == 0
    found = [image["variants"]["soft"] for image in json.loads(capsys.readouterr().out)]
    assert [answer["class"] for answer in found] == [3, 7]
