"""Preprocessing of images, by the names that `train.preprocess` has in params.yaml.

The results are whole grey values again, so that sums over pixels stay exact.
"""

import numpy as np

NAMES = ("none", "deskew")
BLOCK = 4096  # images that are deskewed at a time


def apply(images: np.ndarray, name: str) -> np.ndarray:
    """Return preprocessed images, (n_samples, height, width) uint8."""
    return deskew(images) if name == "deskew" else images


def deskew(images: np.ndarray) -> np.ndarray:
    """Shear each image so that its ink is upright.

    The slope of the ink is the covariance of its columns and rows divided by the variance
    of its rows. Each row is shifted sideways, with linear interpolation, so that the slope
    becomes 0 and the centre of mass does not move. An image whose ink has no height stays
    as it is.

    Args:
        images: (n_samples, height, width) uint8.

    Returns:
        (n_samples, height, width) uint8.
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
    # mass² times the covariance and the variance: whole numbers, hence exact
    covariance = mass * ((ink @ columns) @ rows) - row_sum * column_sum
    variance = mass * (by_row @ rows**2) - row_sum**2
    slope = covariance / np.maximum(variance, 1)
    middle = row_sum / np.maximum(mass, 1)
    source = columns + (slope[:, None] * (rows - middle[:, None]))[:, :, None]
    left = np.floor(source).astype(np.int64)
    part = source - left
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1)))  # no ink beyond the edge
    sheared = sum(
        weight * np.take_along_axis(padded, np.clip(at + 1, 0, width + 1), axis=2)
        for at, weight in ((left, 1 - part), (left + 1, part))
    )
    return np.rint(sheared).astype(np.uint8)
