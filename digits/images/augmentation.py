"""Altered copies of training images: rotated and shifted, the same on every processor.

A copy's pixels are interpolated between the four nearest pixels of the image, with weights
that are multiples of 2⁻¹⁶. Sums of such weights and of grey values are whole numbers, so
nothing is rounded before the end.
"""

import math
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from digits.parallel import map_in_threads

UNIT = 2**12  # of sines and cosines
STEPS = 2**8  # of a position between two pixels
ROWS = 500  # images that a thread alters at once
FRAME = (1, 2)  # black pixels before and after those of an image


class Variation(NamedTuple):
    """What is done to an image.

    Attributes:
        degrees: Rotation about the image's centre, anticlockwise.
        down: Shift in pixels, after the rotation.
        right: The same.
    """

    degrees: int
    down: int
    right: int


def variations(max_shift: int, max_rotation: int) -> list[Variation]:
    """Return all combinations of whole degrees and pixels.

    Args:
        max_shift: Largest shift in pixels, in each direction.
        max_rotation: Largest rotation in degrees, in each direction.
    """
    shifts = range(-max_shift, max_shift + 1)
    degrees = range(-max_rotation, max_rotation + 1)
    return [Variation(*values) for values in product(degrees, shifts, shifts)]


def copies(
    images: np.ndarray,
    number: int,
    among: list[Variation],
    seed: int,
    first: int | None = None,
) -> Iterator[np.ndarray]:
    """Yield copies of all images; a variation is drawn for each image of each copy.

    Args:
        images: (n_samples, height, width) uint8.
        number: How many copies.
        among: What is drawn from, each with the same probability.
        seed: Of the draws.
        first: Only so many images of each copy are made; None: all.

    Yields:
        (n_samples, height, width) uint8.
    """
    for copy in range(number):
        random = np.random.default_rng([seed, copy])
        drawn = random.integers(0, len(among), len(images))
        yield alter(images[:first], among, drawn[:first])


def alter(images: np.ndarray, among: list[Variation], drawn: np.ndarray) -> np.ndarray:
    """Return altered images.

    Args:
        images: (n_samples, height, width) uint8.
        among: Variations.
        drawn: (n_samples,), the index of the one that is applied to each image.

    Returns:
        (n_samples, height, width) uint8; what comes from outside the image is black.
    """
    altered = np.empty_like(images)

    def apply(index: int) -> None:
        pixels, weights = _interpolation(images.shape[1:], among[index])
        for rows in np.array_split(of[index], -(-len(of[index]) // ROWS)):
            framed = np.pad(images[rows], ((0, 0), FRAME, FRAME)).reshape(len(rows), -1)
            total = np.full((len(rows), len(weights[0])), STEPS**2 // 2, np.int32)
            for pixel, weight in zip(pixels, weights, strict=True):
                total += framed[:, pixel] * weight
            altered[rows] = (total // STEPS**2).reshape(-1, *images.shape[1:])

    order = np.argsort(drawn, kind="stable")
    found, starts = np.unique(drawn[order], return_index=True)
    of = dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True))
    map_in_threads(apply, of)
    return altered


def _interpolation(
    shape: tuple[int, ...], variation: Variation
) -> tuple[np.ndarray, np.ndarray]:
    """Return the four pixels between which each pixel of a copy lies, and their weights.

    Args:
        shape: Height and width of the images.
        variation: What is done.

    Returns:
        pixels: (4, height · width), indices of an image with its frame.
        weights: (4, height · width) int32, whose sum is 2¹⁶.
    """
    high, wide = shape
    angle = math.radians(variation.degrees)
    cos, sin = round(UNIT * math.cos(angle)), round(UNIT * math.sin(angle))
    # twice the distance from the centre, so that it is a whole number
    y = 2 * (np.arange(high) - variation.down)[:, None] - (high - 1)
    x = 2 * (np.arange(wide) - variation.right) - (wide - 1)
    scale = 2 * UNIT // STEPS
    row, down = _split((cos * y + sin * x + (high - 1) * UNIT) // scale, high)
    column, right = _split((cos * x - sin * y + (wide - 1) * UNIT) // scale, wide)
    corners = list(product((0, 1), (0, 1)))
    pixels = [(row + a + 1) * (wide + sum(FRAME)) + column + b + 1 for a, b in corners]
    weights = [
        (down if a else STEPS - down) * (right if b else STEPS - right) for a, b in corners
    ]
    return np.reshape(pixels, (4, -1)), np.reshape(weights, (4, -1)).astype(np.int32)


def _split(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel at or before a position, -1 to size, and the steps from there.

    Args:
        position: In steps from the first pixel.
        size: Number of pixels.
    """
    inside = np.clip(position, -STEPS, size * STEPS)
    return inside // STEPS, inside % STEPS
