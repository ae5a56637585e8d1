"""The figure that shows the first images of a data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits.data.files import write_png
from digits.figures.canvas import Figure
from digits.figures.labels import plot_labels

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
    size = "large" if max(map(len, titles)) <= MAX_LARGE else "x-small"
    figure = Figure(figsize=(5, 4.4))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all images: twelve would be slow
    high, wide = np.array(images.shape[1:]) / max(images.shape[1:]) / 2
    for i, (image, label) in enumerate(zip(images[:12], labels[:12], strict=True)):
        row, column = divmod(i, 4)
        x, y = 1.2 * column, -1.35 * row
        extent = (x - wide, x + wide, y - high, y + high)
        axes.imshow(image, "gray", vmin=0, vmax=255, extent=extent)
        axes.text(x, y + high + 0.05, titles[label], fontsize=size, ha="center")
    axes.set(xlim=(-0.65, 4.25), ylim=(-3.3, 0.85))
    axes.axis("off")
    write_png(path, figure)
