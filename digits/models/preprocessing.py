"""What can be done to images before all else, by the name that it has in params.yaml.

Grey values in, grey values out, so that sums over pixels stay exact.
"""

import numpy as np

NAMES = ("none", "deskew")
BLOCK = 4096  # images that are sheared at a time


def apply(images: np.ndarray, name: str) -> np.ndarray:
    """Return preprocessed images, (_, height, width) uint8."""
    return deskew(images) if name == "deskew" else images


def deskew(images: np.ndarray) -> np.ndarray:
    """Return images whose ink stands upright.

    Ink leans by a slope: the covariance of its columns and rows over the variance of its
    rows. Each row is moved sideways, linearly interpolated, by as much as makes the slope
    0 and leaves the centre of mass where it is.

    images: (_, height, width) uint8. What has no height, or no ink, stays as it is.
    """
    parts = (_deskew(images[i : i + BLOCK]) for i in range(0, len(images), BLOCK))
    return np.concatenate([images[:0], *parts])


def _deskew(images: np.ndarray) -> np.ndarray:
    _, height, width = images.shape
    rows, columns = np.arange(height), np.arange(width)
    ink = images.astype(np.int64)
    by_row, by_column = ink.sum(axis=2), ink.sum(axis=1)
    mass = by_row.sum(axis=1)
    row_sum, column_sum = by_row @ rows, by_column @ columns
    # mass² times the covariance and the variance: whole numbers, so exact
    covariance = mass * ((ink @ columns) @ rows) - row_sum * column_sum
    variance = mass * (by_row @ rows**2) - row_sum**2
    slope = covariance / np.maximum(variance, 1)
    middle = row_sum / np.maximum(mass, 1)
    source = columns + (slope[:, None] * (rows - middle[:, None]))[:, :, None]
    left = np.floor(source).astype(np.int64)
    part = source - left
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1)))  # beyond the edge there is no ink
    sheared = sum(
        weight * np.take_along_axis(padded, np.clip(at + 1, 0, width + 1), axis=2)
        for at, weight in ((left, 1 - part), (left + 1, part))
    )
    return np.rint(sheared).astype(np.uint8)
