"""k-nearest neighbours: the k nearest training images vote.

The squared Euclidean distances of grey values are whole numbers and computed exactly. Of
images at the same distance the first in the training set counts; of classes with equally
many votes the first is predicted.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models.base import Model, TrainingSet
from digits.models.distances import centred, products
from digits.models.training_log import TrainingLog
from digits.parallel import map_row_blocks

BLOCK_ROWS = 200  # their distances to 60,000 images take 48 MB


class Options(TrainBlock):
    """The nearest training images vote."""

    summary = "A majority vote of the nearest training images"

    model: Literal["nearest_neighbours"]
    # the neighbours are found one by one, each in a pass over all training images
    k: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Number of neighbours; at most the number of training images."
    )


@dataclass(frozen=True, kw_only=True)
class KNearestNeighbors(Model):
    """The training images; a score is a class's share of the votes.

    Attributes:
        k: Number of neighbours.
        images: (n_training, n_pixels) uint8.
        labels: (n_training,) uint8, class indices.
    """

    model_type: ClassVar[str] = "nearest_neighbours"
    pixel_array: ClassVar[str] = "images"
    k: int
    images: np.ndarray
    labels: np.ndarray

    def _scores(self, X: np.ndarray) -> np.ndarray:
        training, pixels = centred(self.images), centred(X).pixels
        one_hot = np.eye(len(self.classes))

        def votes(rows: slice) -> np.ndarray:
            # ‖x - y‖² without ‖x‖², which is the same for all y
            distances = training.squares - 2 * products(pixels[rows], training.pixels)
            here, share = np.arange(len(distances)), np.zeros((1, 1))
            for _ in range(self.k):
                nearest = distances.argmin(axis=1)
                share = share + one_hot[self.labels[nearest]]
                distances[here, nearest] = np.iinfo(np.int32).max
            return share / self.k

        return np.concatenate(map_row_blocks(votes, len(X), BLOCK_ROWS))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "images": (len(self.labels), self.images.shape[-1]),
            "labels": (self.labels.size,),
        }


MODEL = KNearestNeighbors


def fit(
    data: TrainingSet, options: Options, training_log: TrainingLog
) -> KNearestNeighbors:
    """Keep the training images."""
    n_images = len(data.images)
    if options.k > n_images:
        raise InputError(f"train.k: there are only {n_images} images, got {options.k}")
    training_log.record(1, "images kept", n_images)
    return KNearestNeighbors(
        classes=data.classes,
        k=options.k,
        images=data.pixels,
        labels=data.y.astype(np.uint8),
    )
