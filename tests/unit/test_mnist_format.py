import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits import models
from digits.data import dataset
from digits.normal_form import averaging, centre_of_mass, is_normal, normal_form
from tests.helpers.project import ROOT


def drawing(height, width, seed=0):
    """Return a bright blob with a hook somewhere on a large dark ground."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width), np.uint8)
    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
    image[top : top + height // 3, left : left + 4] = 200
    image[top : top + 4, left : left + width // 4] = 230
    return image


@given(n_in=st.integers(1, 70), n_out=st.integers(1, 70))
def test_averaging_keeps_a_grey_value_and_the_mass(n_in, n_out):
    matrix = averaging(n_in, n_out)
    assert matrix.shape == (n_out, n_in)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix.sum(axis=0), n_out / n_in)


@given(seed=st.integers(0, 50), size=st.tuples(st.integers(24, 300), st.integers(24, 300)))
def test_a_drawing_anywhere_is_converted_to_mnist_format(seed, size):
    framed = normal_form(drawing(*size, seed))
    assert framed.dtype == np.uint8
    assert framed.max() == 255
    assert is_normal(framed)


def test_position_and_brightness_of_a_drawing_make_no_difference():
    image = drawing(120, 90)
    moved = np.zeros((400, 400), np.uint8)
    moved[200:320, 250:340] = image // 2
    np.testing.assert_array_equal(normal_form(moved), normal_form(image // 2 * 2))


def test_the_ink_also_fills_the_box_of_another_frame():
    framed = normal_form(drawing(100, 40), (14, 42))
    rows, columns = (np.flatnonzero(framed.any(axis=axis)) for axis in (1, 0))
    assert len(rows) == 10
    assert len(columns) < 10


def test_images_of_other_data_fill_the_frame():
    image = np.random.default_rng(0).integers(0, 256, (56, 56)).astype(np.uint8)
    mean = image.reshape(28, 2, 28, 2).mean(axis=(1, 3))
    framed = normal_form(image, centred=False)
    np.testing.assert_allclose(framed, np.floor(mean + 0.5))
    assert normal_form(image[:, :28], centred=False)[:, :7].max() == 0


def test_an_empty_drawing_cannot_be_converted():
    assert normal_form(np.zeros((50, 50), np.uint8)) is None
    assert not is_normal(np.zeros((28, 28), np.uint8))


@pytest.mark.results
def test_every_mnist_image_is_in_mnist_format_and_no_shifted_one():
    images = dataset.load_split(ROOT / "data/raw/test").images
    assert all(is_normal(image) for image in images)
    for axis in (1, 2):
        for shift in (-3, 3):
            assert not any(is_normal(image) for image in np.roll(images, shift, axis))


@pytest.mark.results
def test_mnist_enlarged_and_reduced_again_keeps_its_accuracy():
    split = dataset.load_split(ROOT / "data/raw/test")
    model = models.load(ROOT / "data/models/multinomial.npz")
    large = (np.kron(image, np.ones((9, 9), np.uint8)) for image in split.images)
    framed = np.array([normal_form(image) for image in large])
    predicted = models.decide(model.scores(framed), model.decision)
    assert np.mean(predicted == split.labels) > 0.92
    row, column = np.mean([centre_of_mass(image) for image in framed], axis=0)
    assert (row, column) == pytest.approx((14.5, 14.5), abs=0.1)
