"""Altered copies of training images."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from digits.config.params import Augment, Subset
from digits.data import dataset, files, large
from digits.images.augmentation import Variation, alter, copies, variations
from stages import filter as stage


def altered(images, *variation):
    return alter(images, [Variation(*variation)], np.zeros(len(images), int))


@pytest.fixture
def images():
    """Smooth images with a black margin."""
    noise = np.random.default_rng(0).random((30, 14, 14))
    smooth = 255 * ndimage.gaussian_filter(noise, (0, 2, 2))
    return np.pad(smooth.astype(np.uint8), ((0, 0), (7, 7), (7, 7)))


def test_no_change_gives_the_image(images):
    assert (altered(images, 0, 0, 0) == images).all()


def test_a_shift_moves_each_pixel_and_black_follows(tiny):
    images = tiny.train.images
    expected = np.zeros_like(images)
    expected[:, 2:, :-1] = images[:, :-2, 1:]
    assert (altered(images, 0, 2, -1) == expected).all()


@pytest.mark.parametrize("degrees", [-45, -7, 3, 10, 45])
def test_a_rotation_is_that_of_scipy(images, degrees):
    expected = ndimage.rotate(
        images.astype(float), degrees, axes=(1, 2), reshape=False, order=1
    )
    assert np.abs(altered(images, degrees, 0, 0) - expected).max() < 2


def test_a_quarter_turn_is_exact_for_any_shape():
    image = np.arange(1, 36, dtype=np.uint8).reshape(1, 5, 7)
    assert (altered(image, 180, 0, 0) == image[:, ::-1, ::-1]).all()
    square = np.arange(1, 37, dtype=np.uint8).reshape(1, 6, 6)
    assert (altered(square, 90, 0, 0) == np.rot90(square, axes=(1, 2))).all()


def test_rotation_comes_before_the_shift(images):
    both = altered(images, 10, 1, 2)
    assert (both == altered(altered(images, 10, 0, 0), 0, 1, 2)).all()


def test_each_image_gets_what_was_drawn_for_it(images):
    among = variations(1, 2)
    assert len(among) == 9 * 5
    drawn = np.random.default_rng(1).integers(0, len(among), len(images))
    found = alter(images, among, drawn)
    for image, index, expected in zip(images, drawn, found, strict=True):
        assert (altered(image[None], *among[index])[0] == expected).all()


def test_copies_are_the_same_on_every_processor():
    """A hash, because a test on one machine cannot compare two."""
    image = np.arange(784, dtype=np.int64) * 7 % 256
    found = copies(
        np.tile(image.astype(np.uint8).reshape(1, 28, 28), (50, 1, 1)),
        2,
        variations(2, 10),
        0,
    )
    assert (
        hashlib.sha256(np.stack(list(found)).tobytes()).hexdigest()[:16]
        == "4125a80454fcae8e"
    )


def test_the_first_images_of_copies_do_not_depend_on_the_others(images):
    among = variations(2, 3)
    whole = list(copies(images, 3, among, 5))
    first = list(copies(images, 3, among, 5, first=4))
    assert all((a[:4] == b).all() for a, b in zip(whole, first, strict=True))
    assert not (whole[0] == whole[1]).all()
    assert not (whole[0] == next(copies(images, 1, among, 6))).all()


def test_the_training_images_are_followed_by_their_copies(tmp_path, tiny):
    options = Augment(factor=3, max_shift=1, max_rotation=5)
    made = list(stage.altered_copies(tiny.train.images, options, 2))
    dataset.save(tmp_path / "subset", tiny, iter(made), 3)
    loaded = dataset.load(tmp_path / "subset")
    assert (loaded.train.images == np.concatenate([tiny.train.images, *made])).all()
    assert (loaded.train.labels == np.tile(tiny.train.labels, 3)).all()
    assert (loaded.test.images == tiny.test.images).all()
    assert dataset.summary(tiny, 3) == dataset.summary(loaded)


def test_the_stage_writes_copies_and_shows_them(tmp_path, tiny):
    dataset.save(tmp_path / "data/raw", tiny)
    folder = tmp_path / "metrics/subsets/pair"
    for augment in ({"factor": 4, "max_shift": 2}, None):
        block = {"classes": [3, 8], "augment": augment}
        subset = Subset.model_validate(block)
        stage.main(SimpleNamespace(subsets={"pair": subset}), "pair", tmp_path)
        images = np.load(tmp_path / "data/subsets/pair/train/images.npy")
        assert len(images) == (240 if augment else 60)
        assert (folder / "copies.png").exists() == bool(augment)
    summary = files.read_json(folder / "summary.json")
    assert summary["train"]["images"] == 60


def test_a_large_array_is_mapped_and_a_damaged_one_refused(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(large, "MAPPED_FROM", 10_000)
    dataset.save(tmp_path / "subset", tiny)
    split = dataset.load_split(tmp_path / "subset/train")
    assert isinstance(split.images, np.memmap)
    assert not isinstance(split.labels, np.memmap)
    assert (split.images == tiny.train.images).all()
    path = tmp_path / "subset/train/images.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="its header says"):
        files.read_npy(path, mapped_from=0)
