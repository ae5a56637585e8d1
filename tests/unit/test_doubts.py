"""What predict says about images that may not be one digit."""

import numpy as np
import pytest

from digits.data import dataset
from digits.images import image_input
from digits.images.doubts import LEAST_INK, MOST_INK, doubts
from tests.helpers import drawings
from tests.helpers.project import ROOT

FRAME = (28, 28)
TWO = ("there may be two digits in it",)
LITTLE = ("there is hardly any ink in it",)
MUCH = ("there is more ink in it than in any digit of MNIST",)


def seen(ink, folder, kind="dark on light"):
    path = drawings.save(drawings.KINDS[kind](ink), folder)
    return image_input.load(path, FRAME, mnist_like=True).doubts


@pytest.mark.parametrize("name", drawings.STROKES)
def test_a_digit_raises_no_doubt(tmp_path, name):
    assert seen(drawings.digit(name), tmp_path) == ()


@pytest.mark.parametrize("pair", [(1, 7), (3, 4), (0, 0)])
def test_two_digits_are_seen(tmp_path, pair):
    ink = drawings.two(*pair)
    assert seen(ink, tmp_path) == TWO
    assert seen(ink.T, tmp_path) == TWO


def test_a_dot_and_a_scratch_are_seen(tmp_path):
    ink = np.zeros((300, 300))
    ink[148:152, 148:152] = 1
    assert seen(ink, tmp_path)[0].endswith("% as long as the image")
    ink[100:200, 100:200] = 1
    assert seen(ink, tmp_path) == MUCH
    ink[:] = 0
    ink[149:152, 50:250] = 1
    assert seen(ink, tmp_path) == LITTLE


def test_images_of_other_data_raise_no_doubt(tmp_path):
    path = drawings.save(drawings.KINDS["dark on light"](drawings.two(1, 7)), tmp_path)
    assert image_input.load(path, FRAME, mnist_like=False).doubts == ()


@pytest.mark.results
def test_few_images_of_mnist_raise_a_doubt():
    data = dataset.load(ROOT / "data/raw")
    ink = data.train.images.sum(axis=(1, 2)) / 255
    assert (np.floor(ink.min() * 10) / 10, ink.max().round(1)) == (LEAST_INK, MOST_INK)
    found = [doubts(image) for image in data.train.images]
    assert set(found) == {(), TWO}
    assert sum(map(bool, found)) == 40
    assert sum(bool(doubts(image)) for image in data.test.images) < 20
