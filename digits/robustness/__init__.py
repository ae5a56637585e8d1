"""How small a change of all pixels flips a model's answer.

Each pixel changes by at most ε whole grey levels, and stays between 0 and 255. A module of
this package is for the type of model of its name. It has
`flip_test(model, images, thresholds)`, which returns a function that tells which answers a
change flips.

The page computes the same for one image, in perturbation.js, with the same directions and
scores.
"""

import importlib

import numpy as np

from digits import parallel
from digits.models.base import Model
from digits.robustness.levels import BLOCK_ROWS, LEVELS, MOST_IMAGES, NEVER


def n_tried(model_type: str, preprocess: str, n_samples: int) -> int:
    """Return how many of the first images are tried.

    Args:
        model_type: `Model.model_type`.
        preprocess: `Model.preprocess`; no image is tried if it changes the pixels.
        n_samples: The number of images.
    """
    if preprocess != "none":
        return 0
    return min(MOST_IMAGES.get(model_type, 0), n_samples)


def smallest_levels(
    model: Model, images: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
    """Return the smallest of `LEVELS` that flips the answer for each image, or `NEVER`.

    Args:
        model: The model.
        images: (n_samples, height, width) uint8; the first `n_tried` are tried.
        thresholds: Of the decision.

    Returns:
        (n_tried,) int16.
    """
    some = images[: n_tried(model.model_type, model.preprocess, len(images))]
    found = np.full(len(some), NEVER, np.int16)
    if not len(some):
        return found
    # A name that is computed, so that no fingerprint of code follows it.
    module = importlib.import_module(f"{__name__}.{model.model_type}")
    is_flipped = module.flip_test(model, some, thresholds)

    def find(rows: slice) -> None:
        for level in LEVELS:
            left = rows.start + np.flatnonzero(found[rows] == NEVER)
            found[left[is_flipped(left, level)]] = level

    parallel.map_row_blocks(find, len(some), BLOCK_ROWS)
    return found
