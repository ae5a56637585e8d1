"""Lines from border to border are removed from a drawing, and no digit."""

import numpy as np
import pytest

from digits.images.lines import without_lines
from tests.helpers import drawings


def ink_of(name=4, size=(200, 280)):
    return drawings.digit(name, size) > 0.1


def lines(ink, rows, thick=3, slant=0.0):
    """Return ink with horizontal lines."""
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    drawn = ink.copy()
    for row in rows:
        drawn |= (y >= row + slant * x) & (y < row + slant * x + thick)
    return drawn


@pytest.mark.parametrize("name", drawings.STROKES)
def test_a_drawing_without_lines_is_not_changed(name):
    ink = ink_of(name)
    assert without_lines(ink) is ink


@pytest.mark.parametrize("name", drawings.STROKES)
@pytest.mark.parametrize("slant", [0, 0.03])
def test_thin_lines_are_removed_and_the_digit_that_they_cross_stays(name, slant):
    ink = ink_of(name)
    left = without_lines(lines(ink, (20, 90, 140, 190, 270), slant=slant))
    assert not left[:, [0, -1]].any()
    assert np.count_nonzero(ink & ~left) < 0.01 * np.count_nonzero(ink)
    assert np.count_nonzero(left & ~ink) < 0.05 * np.count_nonzero(ink)
    np.testing.assert_array_equal(without_lines(left), left)


def test_vertical_lines_are_removed_as_well():
    drawn = lines(ink_of(), (20, 140, 270))
    np.testing.assert_array_equal(without_lines(drawn.T), without_lines(drawn).T)
    squared = lines(drawn.T, (20, 100, 190)).T
    assert not without_lines(squared)[[0, -1]].any()
    assert np.count_nonzero(without_lines(squared) ^ ink_of()) < 0.06 * ink_of().sum()


def test_a_line_may_be_interrupted_a_little():
    ink = ink_of()
    drawn = lines(ink, (20,))
    drawn[20:23, 50:58] = False
    np.testing.assert_array_equal(without_lines(drawn), ink)
    drawn[20:23, 50:80] = False  # now it is two lines that end at one border
    np.testing.assert_array_equal(without_lines(drawn), ink)
    drawn[20:23, [0, -1]] = False
    np.testing.assert_array_equal(without_lines(drawn), drawn)


def test_thick_ink_from_border_to_border_is_removed_if_it_is_separate():
    ink = ink_of()
    np.testing.assert_array_equal(without_lines(lines(ink, (260,), thick=16)), ink)
    crossing = lines(ink, (140,), thick=16)
    assert without_lines(crossing) is crossing


def test_ink_that_touches_one_border_stays():
    ink = ink_of()
    ink[30:46, :60] = True
    np.testing.assert_array_equal(without_lines(ink), ink)


@pytest.mark.parametrize("speck", [0, 10])
def test_a_digit_that_fills_the_drawing_is_no_line(speck):
    """As a one from the upper to the lower edge of the page's drawing area."""
    ink = np.zeros((280, 280), bool)
    ink[:, 130:152] = True
    ink[20 : 20 + speck, 20 : 20 + speck] = True
    assert without_lines(ink) is ink


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_drawings_are_not_changed(shape):
    for ink in (np.ones(shape, bool), np.zeros(shape, bool)):
        assert without_lines(ink) is ink
