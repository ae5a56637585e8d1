"""The figure that shows a few images of each class."""

from pathlib import Path

import numpy as np

from digits.data.dataset import Dataset, labels_in
from digits.data.files import write_png
from digits.figures.canvas import Figure
from digits.figures.labels import label_width, plot_labels

SHOWN = {"train": 6, "test": 3}  # images of each class
MOST_ROWS = 25  # more classes continue in the next block of columns
SIDE = 0.5  # inches of an image
GAP = 0.2  # inches between two splits, and two blocks


def draw(path: Path, data: Dataset) -> None:
    """Draw a line for each class: its name, its first training and its first test images.

    Args:
        path: The PNG file to write.
        data: The data set.
    """
    labels = labels_in(data.train.labels)
    titles = plot_labels(data.names)
    name_width = 0.3 + label_width([titles[label] for label in labels])
    wide = name_width + SIDE * sum(SHOWN.values()) + GAP * len(SHOWN)
    n_rows, n_blocks = min(len(labels), MOST_ROWS), -(-len(labels) // MOST_ROWS)
    size = (wide * n_blocks, SIDE * n_rows + 0.4)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    shape = np.array(data.train.images.shape[1:])
    high, broad = 0.45 * SIDE * shape / shape.max()  # half of an image's sides
    for at, label in enumerate(labels):
        block, row = divmod(at, MOST_ROWS)
        x, y = block * wide + name_width, 0.35 + SIDE * (row + 0.5)
        axes.text(x - 0.1, y, titles[label], ha="right", va="center")
        for split, part in data.splits.items():
            if not row:
                axes.text(x, 0.2, split, va="center", color="0.4")
            of_class = np.flatnonzero(part.labels == label)[: SHOWN[split]]
            for position, image in enumerate(part.images[of_class]):
                middle = x + SIDE * (position + 0.5)
                extent = (middle - broad, middle + broad, y + high, y - high)
                axes.imshow(image, "gray", vmin=0, vmax=255, extent=extent)
            x += SIDE * SHOWN[split] + GAP
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    write_png(path, figure)
