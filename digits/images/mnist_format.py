"""The form that a drawing must have before a model trained on MNIST can read it.

MNIST's digits lie in a box of 20 by 20 pixels, with their aspect kept, and the box lies
in the frame of 28 by 28 so that the centre of mass is in the frame's centre. Source:
LeCun, Cortes and Burges, "The MNIST database of handwritten digits". In the 10,000 test
images that is the middle of the pixel right below the frame's very centre: 14.5, not 14.

The report page does the same in `digits/report/page/normal_form.js`, with the constants
of this module; a test in a browser holds the two against each other.
"""

import numpy as np

# The longer side of the ink, as a share of the frame's.
BOX = 20 / 28
# What counts as ink, as a share of the brightest grey value.
INK = 0.1
# Where the centre of mass comes to lie: how many pixels beyond the frame's centre.
BEYOND = 0.5
# How far, in pixels, the centre of mass may lie from there, and how many pixels the ink
# may be longer than the box, in an image that needs no change.
TOLERANCE = 1

# The data whose images are digits in a box. Images of any other data fill the frame.
CENTRED = frozenset({"mnist"})


def normal_form(
    image: np.ndarray, shape: tuple[int, int] = (28, 28), *, centred: bool = True
) -> np.ndarray | None:
    """Return a drawing in the form of the data, `shape` uint8; None if it is empty.

    image: (height, width) of any size, light ink on a dark ground, from 0 to 255
    shape: height and width of the data's images, in pixels
    centred: True for digits as in MNIST (see `CENTRED`): the ink alone fills the box,
        centred by mass, its brightest pixel 255. False for any other data: the image as
        it is fills the frame.
    """
    if image.max(initial=0) <= 0:
        return None
    ink = _crop(image) if centred else image
    share = BOX if centred else 1
    scale = min(share * frame / side for frame, side in zip(shape, ink.shape, strict=True))
    height, width = (max(1, _round(scale * side)) for side in ink.shape)
    rows, columns = averaging(ink.shape[0], height), averaging(ink.shape[1], width)
    small = rows @ ink.astype(np.float64) @ columns.T
    if centred:
        small *= 255 / small.max()
        middle = centre_of_mass(small)
        beyond = BEYOND
    else:
        middle = (height / 2, width / 2)
        beyond = 0
    top, left = (
        min(max(_round(frame / 2 + beyond - at), 0), frame - side)
        for frame, at, side in zip(shape, middle, small.shape, strict=True)
    )
    framed = np.zeros(shape)
    framed[top : top + height, left : left + width] = small
    return np.floor(framed + 0.5).astype(np.uint8)


def is_normal(image: np.ndarray, shape: tuple[int, int] = (28, 28)) -> bool:
    """Tell whether an image already is as MNIST's, up to `TOLERANCE`: take it as it is.

    image: (height, width), from 0 to 255
    """
    if image.shape != shape or image.max(initial=0) <= 0:
        return False
    sides = zip(shape, _crop(image).shape, strict=True)
    fits = all(side <= BOX * frame + TOLERANCE for frame, side in sides)
    at = zip(shape, centre_of_mass(image), strict=True)
    return fits and all(
        abs(frame / 2 + BEYOND - middle) <= TOLERANCE for frame, middle in at
    )


def averaging(n_in: int, n_out: int) -> np.ndarray:
    """Return the matrix, (n_out, n_in), that averages `n_in` pixels over `n_out` cells.

    Cell i covers the stretch from i/n_out to (i+1)/n_out of the side, and each pixel
    counts with the share of the cell that it covers. So each row sums to 1, and
    enlarging is right as well.
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


def _crop(image: np.ndarray) -> np.ndarray:
    """Return the smallest part of the image that holds all ink."""
    ink = image > INK * image.max()
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _round(value: float) -> int:
    """Round halves up, as JavaScript does."""
    return int(np.floor(value + 0.5))
