"""Whether an image in MNIST's format may be something else than one digit."""

import numpy as np

from digits.images.mnist_format import INK

# The least and the most ink of MNIST's 60,000 training images, as white pixels of 28 by 28.
LEAST_INK = 19.9
MOST_INK = 311.7
# Two parts are two digits if each has this share of the ink, and an empty row or column is
# between them. So it is in 40 of MNIST's training images.
TWO_PARTS = 0.2
# In a picture of 640 pixels, which is the most, a digit of 20 pixels as in MNIST.
SMALL = 20 / 640


def doubts(image: np.ndarray, share: float = 1.0) -> tuple[str, ...]:
    """Return why an image may not be one digit, each as a clause, or nothing.

    Args:
        image: (height, width) uint8, in MNIST's format.
        share: The digit's longer side before it was scaled, as a share of the picture's.
    """
    found = []
    if share < SMALL:
        found.append(f"its ink is only {share:.1%} as long as the image")
    ink = image.sum(dtype=np.float64) / 255 * (28 * 28 / image.size)
    if ink < LEAST_INK:
        found.append("there is hardly any ink in it")
    if ink > MOST_INK:
        found.append("there is more ink in it than in any digit of MNIST")
    dark = np.where(image > INK * image.max(), image, 0)
    if max(map(_smaller_part, (dark, dark.T))) >= TWO_PARTS:
        found.append("there may be two digits in it")
    return tuple(found)


def _smaller_part(image: np.ndarray) -> float:
    """Return the share of ink in the smaller of two parts, with an empty column between."""
    of_columns = image.sum(axis=0, dtype=np.float64)
    before = np.cumsum(of_columns)
    parts = np.minimum(before, before[-1] - before)
    return float(max(parts[of_columns == 0] / before[-1], default=0))
