"""A fitted model with all that an export needs."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.methods.lenet5 import pad
from digits.models.base import Model

INPUT = "grey images like the training images, uint8 from 0 to 255: {} high, {} wide"


@dataclass(frozen=True)
class Fitted:
    """A fitted variant, and what is known about it.

    Attributes:
        variant: Its name.
        model: The model.
        thresholds: Those of its decision, ascending.
        shape: Height and width of the images.
        metadata: By key, what JSON can express: see docs/export.md.
    """

    variant: str
    model: Model
    thresholds: tuple[float, ...]
    shape: tuple[int, int]
    metadata: dict[str, Any]

    @property
    def labels(self) -> np.ndarray:
        """The label of each class, (n_classes,) int64."""
        return self.model.classes.astype(np.int64)

    @property
    def texts(self) -> dict[str, str]:
        """The metadata as text: JSON, unless it is a text."""
        return {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in self.metadata.items()
        }


def margins(shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows and the columns that LeNet-5 adds before and after an image."""
    padded = pad(np.ones((1, *shape)))[0]
    rows, columns = np.nonzero(padded)
    height, width = padded.shape
    return (
        (int(rows[0]), height - 1 - int(rows[-1])),
        (int(columns[0]), width - 1 - int(columns[-1])),
    )
