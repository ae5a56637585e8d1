"""Images in a folder for each class, as custom data."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from digits.data import dataset, readers
from digits.data.options import Options
from digits.errors import InputError
from digits.images import image_input
from tests.helpers.drawings import write_noise

SHAPE = (5, 7)


@pytest.fixture
def mine(tmp_path):
    """Three training images of cats and two of dogs, a test image of each."""
    root = tmp_path / "mine"
    for i, name in enumerate(("train/cat/1", "train/cat/2", "train/cat/3", "train/dog/1",
                              "train/dog/2", "test/cat/1", "test/dog/1")):  # fmt: skip
        write_noise(root / f"{name}.png", seed=i)
    return root


def test_the_folders_are_the_classes_and_no_pixel_is_changed(mine):
    data = readers.read(mine)
    assert data.names == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 0, 1, 0]  # alternating
    assert data.test.labels.tolist() == [0, 1]
    expected = write_noise(mine / "again.png", seed=3)
    np.testing.assert_array_equal(data.train.images[1], expected)


def test_an_image_in_colour_becomes_grey_as_in_predict(mine):
    colours = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    Image.fromarray(colours).save(mine / "test/cat/1.png")
    grey = readers.read(mine).test.images[0]
    np.testing.assert_allclose(grey, colours @ [0.299, 0.587, 0.114], atol=0.5)
    seen = image_input.load(mine / "test/cat/1.png", SHAPE, mnist_like=False).pixels
    np.testing.assert_array_equal(seen, grey)


def test_folders_that_are_numbers_are_the_labels(mine):
    for split in ("train", "test"):
        (mine / split / "cat").rename(mine / split / "10")
        (mine / split / "dog").rename(mine / split / "9")
    data = readers.read(mine)
    assert data.names == tuple(map(str, range(11)))
    assert sorted(set(data.train.labels)) == [9, 10]


def test_hidden_files_and_those_of_systems_are_ignored(mine):
    (mine / "train/.cache").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._1.png"):
        (mine / "train/cat" / name).touch()
        (mine / "train" / name).touch()
    for name in ("__MACOSX", "@eaDir"):
        (mine / name).mkdir()
        (mine / "test" / name).mkdir()
        (mine / "train/cat" / name).mkdir()
    assert len(readers.read(mine).train.labels) == 5


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_counted(mine):
    for name in ("train/cat/2.png", "train/dog/2.png", "test/cat/1.png"):
        (mine / name).write_bytes(b"no image")
    expected = r"train/cat/2\.png: is not an image \(.*\); 2 other images cannot be read$"
    with pytest.raises(InputError, match=expected):
        readers.read(mine)


def test_images_of_any_size_and_colour_are_brought_to_one(mine, caplog):
    caplog.set_level(logging.INFO)
    write_noise(mine / "train/dog/2.png", (70, 98))
    Image.new("RGB", (300, 100), (9, 200, 9)).save(mine / "test/dog/1.png")
    data = readers.read(mine, options=Options(size=SHAPE))
    assert "mine: 2 of 7 images are brought to 5 by 7 pixels" in caplog.text
    np.testing.assert_array_equal(data.train.images[0], write_noise(mine / "1.png", seed=0))
    assert (data.test.images[1] == 121).all()  # the grey value, also above and below


@pytest.mark.parametrize("shape", [(12, 10), (28, 28)])
def test_a_folder_is_transposed_and_inverted(mine, shape):
    plain = readers.read(mine, options=Options(size=shape[::-1])).train.images
    options = Options(size=shape, transpose=True, invert=True)
    changed = readers.read(mine, options=options).train.images
    np.testing.assert_allclose(changed, 255.0 - plain.swapaxes(1, 2), atol=1)  # rounded


def test_a_folder_of_one_size_is_transposed(mine):
    images = readers.read(mine, options=Options(transpose=True)).train.images
    np.testing.assert_array_equal(images, readers.read(mine).train.images.swapaxes(1, 2))


MISTAKES = {
    "another size": (lambda root: write_noise(root / "train/dog/2.png", (7, 5)), r"train/dog/2\.png: is 7 by 5 pixels, but .*train/cat/1\.png is 5 by 7"),
    "another size in the test": (lambda root: write_noise(root / "test/dog/1.png", (5, 8)), r"test/dog/1\.png: is 5 by 8"),
    "too large": (lambda root: write_noise(root / "train/cat/1.png", (65, 65)), r"train/cat/1\.png: is 65 by 65 pixels; make all images at most 64 by 64"),
    "too broad": (lambda root: write_noise(root / "train/cat/1.png", (2, 65)), r"train/cat/1\.png: is 2 by 65 pixels"),
    "damaged": (lambda root: (root / "train/dog/1.png").write_bytes((root / "train/dog/1.png").read_bytes()[:60]), r"train/dog/1\.png: is damaged"),
    "empty file": (lambda root: (root / "train/dog/1.png").write_bytes(b""), r"train/dog/1\.png: is not an image"),
    "text": (lambda root: (root / "train/dog/notes.txt").write_text("x"), r"train/dog/notes\.txt: is not an image"),
    "folder in a class": (lambda root: (root / "train/dog/more").mkdir(), r"train/dog/more: is a folder in the folder of a class"),
    "image in no class": (lambda root: write_noise(root / "train/1.png"), r"train/1\.png: is not in the folder of a class"),
    "empty class": (lambda root: (root / "train/bird").mkdir(), r"train/bird: there is no image in this folder"),
    "one class": (lambda root: [shutil.rmtree(root / split / "dog") for split in ("train", "test")], r"train: has names of 1 classes; there may be 2 to 100"),
    "too many classes": (lambda root: [write_noise(root / f"train/class {i}/1.png", (1, 1)) for i in range(99)], r"train: has names of 101 classes"),
    "class without training images": (lambda root: write_noise(root / "test/bird/1.png"), r"test/bird: no class of .*train has this name"),
    "no test images": (lambda root: [path.unlink() for path in root.glob("test/*/*")], r"test: there is no image in this folder"),
    "no test": (lambda root: shutil.rmtree(root / "test"), r"mine: has no folders train and test.*set dataset.test_share"),
    "no class": (lambda root: shutil.rmtree(root / "train") or (root / "train").mkdir(), r"train: has names of 0 classes"),
    "the same name in two forms": (lambda root: [write_noise(root / f"train/{name}/1.png") for name in ("caf\u00e9", "cafe\u0301")], r"train: two classes are called 'caf\u00e9'"),
    "a line break": (lambda root: write_noise(root / "train/a\nb/1.png"), r"the class 'a\\nb' has a character"),
}  # fmt: skip


@pytest.mark.parametrize(("do", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_its_file(mine, do, expected):
    do(mine)
    with pytest.raises(InputError, match=expected):
        readers.read(mine)


def test_a_test_class_may_have_no_image(mine):
    shutil.rmtree(mine / "test/dog")
    assert readers.read(mine).test.labels.tolist() == [0]


@given(st.text(max_size=12))
def test_a_name_is_kept_in_one_form_or_refused(text):
    try:
        kept = dataset.check_names([text, "other one"], "here")
    except InputError:
        return
    assert dataset.check_names(kept, "here") == kept
    assert kept[0].strip() == kept[0] != ""
    assert kept[0].encode()  # readable again


@pytest.mark.parametrize("name", ["1.png", "2.png"])
def test_the_size_of_a_rotated_image_is_the_size_that_is_read(tmp_path, name):
    path = Path(tmp_path / name)
    image = Image.fromarray(np.zeros(SHAPE, np.uint8))
    exif = image.getexif()
    exif[274] = 6 if name == "1.png" else 1
    image.save(path, exif=exif)
    assert image_input.image_size(path) == image_input.read_rgb(path).shape[:2]
