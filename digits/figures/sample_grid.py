"""The figure that shows the first images of a data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits.figures.canvas import Canvas
from digits.figures.labels import plot_labels

SIDE = 102  # pixels of an image's longer side
MAX_LARGE = 3  # characters of a title in large type


def draw(path: Path, images: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    """Draw the first twelve images in a grid of 3 by 4, each titled with its class.

    Args:
        path: The PNG file to write.
        images: (n_samples, height, width) uint8.
        labels: (n_samples,) numbers of classes.
        names: The names of all classes; label i is `names[i]`.
    """
    titles = plot_labels(names)
    points = 12 if max(map(len, titles)) <= MAX_LARGE else 7
    canvas = Canvas(500, 440)
    high, wide = SIDE * np.array(images.shape[1:]) / max(images.shape[1:]) / 2
    for i, (image, label) in enumerate(zip(images[:12], labels[:12], strict=True)):
        row, column = divmod(i, 4)
        x, y = 66 + 123 * column, 95 + 138 * row
        canvas.pixels((x - wide, y - high, x + wide, y + high), image)
        canvas.text(x, y - high - 6, titles[label], points=points, anchor="ms")
    canvas.save(path)
