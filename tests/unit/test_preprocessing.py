import numpy as np
import pytest

from digits.models import preprocessing


def bar(slope):
    """Return a 28 by 28 image of a bar that slants by `slope` columns per row."""
    rows, columns = np.mgrid[:28, :28]
    near = np.abs(columns - 13.5 - slope * (rows - 13.5)) < 2
    return (255 * (near & (rows >= 4) & (rows < 24))).astype(np.uint8)


def slope(image):
    rows, columns = np.mgrid[:28, :28]
    ink = image / image.sum()
    row, column = (ink * rows).sum(), (ink * columns).sum()
    covariance = (ink * (rows - row) * (columns - column)).sum()
    return covariance / (ink * (rows - row) ** 2).sum(), row, column


@pytest.mark.parametrize("lean", [-0.6, -0.2, 0.0, 0.5])
def test_deskewing_makes_a_slanted_bar_upright_in_place(lean):
    leaning = bar(lean)
    (upright,) = preprocessing.deskew(leaning[None])
    assert slope(leaning)[0] == pytest.approx(lean, abs=0.05)
    assert slope(upright)[0] == pytest.approx(0, abs=0.01)
    assert slope(upright)[1:] == pytest.approx(slope(leaning)[1:], abs=0.1)
    assert int(upright.sum()) == pytest.approx(int(leaning.sum()), rel=0.01)


def test_an_upright_or_empty_image_is_not_changed():
    empty, upright = np.zeros((28, 28), np.uint8), bar(0.0)
    line = empty.copy()
    line[10, 3:20] = 200
    images = np.array([empty, upright, line])
    np.testing.assert_array_equal(preprocessing.deskew(images), images)


def test_each_image_of_a_batch_is_deskewed_and_a_batch_may_be_empty(tiny):
    images = tiny.train.images
    each = [preprocessing.deskew(image[None])[0] for image in images[:20]]
    np.testing.assert_array_equal(preprocessing.deskew(images)[:20], each)
    assert preprocessing.deskew(images[:0]).shape == (0, 8, 8)


def test_none_changes_nothing(tiny):
    assert preprocessing.apply(tiny.train.images, "none") is tiny.train.images
