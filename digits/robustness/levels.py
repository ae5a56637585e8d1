"""Changes of all pixels by the same number of grey levels."""

import numpy as np

BRIGHTEST = 255  # grey value
LEVELS = (1, 2, 4, 8, 16, 32)  # the changes that are tried, in grey levels
MOST_IMAGES = {"linear": 10_000, "lenet5": 500}  # less than a second of CPU time
BLOCK_ROWS = 250  # images that are tried at once
NEVER = 256  # the level of an answer that no change flips


def pushed(images: np.ndarray, directions: np.ndarray, level: int) -> np.ndarray:
    """Return images whose pixels change by a level in their directions.

    Args:
        images: uint8, of any shape.
        directions: -1, 0 or 1; of a shape that broadcasts to that of the images.
        level: In grey values.
    """
    changed = images.astype(np.int16) + level * directions.astype(np.int16)
    return changed.clip(0, BRIGHTEST).astype(np.uint8)
