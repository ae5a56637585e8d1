"""MNIST's image format, which a drawing must have before a model of MNIST can read it.

MNIST's digits fit a box of 20 by 20 pixels, with their aspect ratio kept. The box is in a
frame of 28 by 28, so that the centre of mass is in the frame's centre. Source: LeCun,
Cortes and Burges, "The MNIST database of handwritten digits". In the 10,000 test images
that is the middle of the pixel just below and to the right of the frame's centre: 14.5,
not 14.

The report page does the same in `digits/report/page/mnist_format.js`, with the constants
of this module; a test in a browser compares the two.
"""

import numpy as np

from digits.images.lines import without_lines

# The longer side of the ink, as a share of the frame's.
BOX = 20 / 28
# Pixels brighter than this share of the brightest grey value are ink.
INK = 0.1
# The position of the centre of mass, in pixels right of and below the frame's centre.
CENTRE_OFFSET = 0.5
# Halves are rounded up, also those that rounding errors made smaller: the last bits of a
# sum depend on the processor, and the centre of a symmetric drawing is often a half.
HALF = 0.5 + 1e-9
# How far, in pixels, the centre of mass may be from there, and how many pixels the ink
# may be longer than the box, in an image that needs no change.
TOLERANCE = 1

# The data sets whose images are digits in a box. Images of other data fill the frame.
MNIST_LIKE = frozenset({"mnist"})


def to_mnist_format(
    image: np.ndarray, shape: tuple[int, int] = (28, 28)
) -> np.ndarray | None:
    """Return a drawing in MNIST's format: cropped, scaled and centred by mass.

    Lines from border to border are removed before.

    Args:
        image: (height, width) of any size, light ink on a dark ground, from 0 to 255.
        shape: Height and width of the result, in pixels.

    Returns:
        `shape` uint8, the brightest pixel 255; None if there is no ink.
    """
    if image.max(initial=0) <= 0:
        return None
    image = remove_lines(image)
    small = _scaled(_crop(image), (BOX * shape[0], BOX * shape[1]))
    small *= 255 / small.max()
    return _placed(small, shape, centre_of_mass(small), CENTRE_OFFSET)


def remove_lines(image: np.ndarray) -> np.ndarray:
    """Return a drawing without the lines from border to border.

    Args:
        image: (height, width), light ink on a dark ground.
    """
    ink = image > INK * image.max()
    kept = without_lines(ink)
    return image if kept is ink else np.where(kept | ~ink, image, 0)


def fit_to_frame(
    image: np.ndarray, shape: tuple[int, int], around: float = 0
) -> np.ndarray | None:
    """Return a whole image, scaled to the frame and centred in it.

    Args:
        image: (height, width) of any size, from 0 to 255.
        shape: Height and width of the result, in pixels.
        around: The grey value around the image, if it has another aspect ratio.

    Returns:
        `shape` uint8; None if all of the image is black.
    """
    if image.max(initial=0) <= 0:
        return None
    small = _scaled(image, shape)
    height, width = small.shape
    return _placed(small, shape, (height / 2, width / 2), 0, around)


def is_mnist_format(image: np.ndarray, shape: tuple[int, int] = (28, 28)) -> bool:
    """Tell whether an image has MNIST's format already, up to `TOLERANCE`.

    Args:
        image: (height, width), from 0 to 255.
        shape: Height and width of the data's images, in pixels.
    """
    if image.shape != shape or image.max(initial=0) <= 0:
        return False
    sides = zip(shape, _crop(image).shape, strict=True)
    fits = all(side <= BOX * frame + TOLERANCE for frame, side in sides)
    centres = zip(shape, centre_of_mass(image), strict=True)
    return fits and all(
        abs(frame / 2 + CENTRE_OFFSET - centre) <= TOLERANCE for frame, centre in centres
    )


def averaging(n_in: int, n_out: int) -> np.ndarray:
    """Return the matrix, (n_out, n_in), that averages `n_in` pixels over `n_out` cells.

    Cell i covers the part from i/n_out to (i+1)/n_out of the side, and each pixel counts
    with the share of the cell that it covers. So each row sums to 1, and the matrix
    enlarges correctly as well.
    """
    cells = np.arange(n_out + 1) * (n_in / n_out)
    pixels = np.arange(n_in)
    low = np.maximum(cells[:-1, None], pixels)
    high = np.minimum(cells[1:, None], pixels + 1)
    return np.maximum(high - low, 0) / (n_in / n_out)


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    """Return the row and the column of the centre of mass, from the upper left edge."""
    mass = image.sum(dtype=np.float64)
    row = image.sum(axis=1, dtype=np.float64) @ (np.arange(image.shape[0]) + 0.5)
    column = image.sum(axis=0, dtype=np.float64) @ (np.arange(image.shape[1]) + 0.5)
    return float(row / mass), float(column / mass)


def _scaled(image: np.ndarray, box: tuple[float, float]) -> np.ndarray:
    """Return an image, scaled to fit the box with its aspect ratio kept, as float64."""
    scale = min(most / side for most, side in zip(box, image.shape, strict=True))
    height, width = (max(1, _round(scale * side)) for side in image.shape)
    rows, columns = averaging(image.shape[0], height), averaging(image.shape[1], width)
    return rows @ image.astype(np.float64) @ columns.T


def _placed(
    small: np.ndarray,
    shape: tuple[int, int],
    centre: tuple[float, float],
    offset: float,
    around: float = 0,
) -> np.ndarray:
    """Return a frame, `shape` uint8, with `small` in it.

    Args:
        small: (height, width) from 0 to 255, not larger than the frame.
        shape: Height and width of the frame.
        centre: The row and the column of `small` to put in the frame's centre.
        offset: How many pixels right of and below it.
        around: The grey value of the rest of the frame.
    """
    top, left = (
        min(max(_round(frame / 2 + offset - at), 0), frame - side)
        for frame, at, side in zip(shape, centre, small.shape, strict=True)
    )
    framed = np.full(shape, float(around))
    framed[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.floor(framed + HALF).astype(np.uint8)


def _crop(image: np.ndarray) -> np.ndarray:
    """Return the smallest part of the image that holds all ink."""
    ink = image > INK * image.max()
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _round(value: float) -> int:
    """Round halves up, as the page does."""
    return int(np.floor(value + HALF))
