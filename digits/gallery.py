"""Images in, pictures of them out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from digits.files import write_png
from digits.lettering import drawable

SHORT = 3  # letters of a title that may be large


def first_digits(
    path: Path, images: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> None:
    """Draw the first twelve images in a grid of 3 by 4, each titled with its class.

    images: (n_samples, height, width) uint8; labels: (n_samples,)
    names: of all classes; label i is `names[i]`
    """
    shown = drawable(names)
    size = "large" if max(map(len, shown)) <= SHORT else "x-small"
    figure = Figure(figsize=(5, 4.4), layout="constrained")
    for axes, image, label in zip(
        figure.subplots(3, 4).flat, images[:12], labels[:12], strict=False
    ):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(shown[label], fontsize=size)
    for axes in figure.axes:
        axes.axis("off")
    write_png(path, figure)
