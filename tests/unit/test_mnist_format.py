import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.data import dataset
from digits.images.mnist_format import (
    averaging,
    centre_of_mass,
    fit_to_frame,
    is_mnist_format,
    to_mnist_format,
)
from digits.models import serialization
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
def test_a_drawing_anywhere_is_brought_to_mnist_format(seed, size):
    framed = to_mnist_format(drawing(*size, seed))
    assert framed.dtype == np.uint8
    assert framed.max() == 255
    # Ink whose mass is far from its middle ends at the frame's edge before it is centred.
    assert is_mnist_format(framed) or framed[[0, -1]].any() or framed[:, [0, -1]].any()


def test_position_and_brightness_of_a_drawing_make_no_difference():
    image = drawing(120, 90)
    moved = np.zeros((400, 400), np.uint8)
    moved[200:320, 250:340] = image // 2
    np.testing.assert_array_equal(to_mnist_format(moved), to_mnist_format(image // 2 * 2))


@given(seed=st.integers(0, 50), size=st.tuples(st.integers(12, 90), st.integers(12, 90)))
def test_the_order_of_sums_makes_no_difference_also_for_halves(seed, size):
    """Each side of a symmetric drawing has half of the mass, or a pixel half."""
    image = drawing(*size, seed)
    image = np.where(image | image[:, ::-1], 255, 0).astype(np.uint8)
    for bring in (to_mnist_format, lambda drawn: fit_to_frame(drawn, (28, 28))):
        turned = bring(np.ascontiguousarray(image.T))
        np.testing.assert_array_equal(turned.T, bring(image))


def test_the_ink_fills_the_box_of_a_frame_of_another_size():
    framed = to_mnist_format(drawing(100, 40), (14, 42))
    rows, columns = (np.flatnonzero(framed.any(axis=axis)) for axis in (1, 0))
    assert len(rows) == 10
    assert len(columns) < 10


def test_an_image_of_other_data_fills_the_frame():
    image = np.random.default_rng(0).integers(0, 256, (56, 56)).astype(np.uint8)
    mean = image.reshape(28, 2, 28, 2).mean(axis=(1, 3))
    framed = fit_to_frame(image, (28, 28))
    np.testing.assert_allclose(framed, np.floor(mean + 0.5))
    assert fit_to_frame(image[:, :28], (28, 28))[:, :7].max() == 0


def test_an_empty_drawing_gives_none():
    assert fit_to_frame(np.zeros((50, 50), np.uint8), (28, 28)) is None
    assert to_mnist_format(np.zeros((50, 50), np.uint8)) is None
    assert not is_mnist_format(np.zeros((28, 28), np.uint8))


@pytest.mark.results
def test_every_mnist_image_has_the_format_and_no_shifted_one():
    images = dataset.load_split(ROOT / "data/raw/test").images
    assert all(is_mnist_format(image) for image in images)
    for axis in (1, 2):
        for shift in (-3, 3):
            assert not any(is_mnist_format(image) for image in np.roll(images, shift, axis))


@pytest.mark.results
def test_mnist_enlarged_and_reduced_again_keeps_its_accuracy():
    split = dataset.load_split(ROOT / "data/raw/test")
    model = serialization.load(ROOT / "data/models/multinomial.npz")
    large = (np.kron(image, np.ones((9, 9), np.uint8)) for image in split.images)
    framed = np.array([to_mnist_format(image) for image in large])
    predicted = model.decision.predict(model.scores(framed))
    assert np.mean(predicted == split.labels) > 0.92
    row, column = np.mean([centre_of_mass(image) for image in framed], axis=0)
    assert (row, column) == pytest.approx((14.5, 14.5), abs=0.1)
