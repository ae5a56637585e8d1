"""The k nearest training images, by Euclidean distance, vote.

Distances of grey values are whole numbers, computed exactly; of images equally far the
one that comes first in training counts, of classes with as many votes the first.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from digits.config.blocks import TrainBlock
from digits.errors import InputError
from digits.models import Course, Model
from digits.parallel import map_row_blocks

ROWS = 200  # of a block: its distances to 60,000 images take 48 MB
EXACT = 1024  # so many products of two numbers from -128 to 127 a float32 sums exactly


class Options(TrainBlock):
    """The nearest training images vote."""

    summary = "The training images that are nearest vote"

    model: Literal["nearest_neighbours"]
    # they are found one after the other, each in a pass over all training images
    k: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="How many vote; at most as many as there are training images."
    )


@dataclass(frozen=True, kw_only=True)
class NeighboursModel(Model):
    """The training images.

    k: how many vote
    images: (n_training, n_pixels) uint8
    labels: (n_training,) uint8 class indices
    """

    kind: ClassVar[str] = "nearest_neighbours"
    k: int
    images: np.ndarray
    labels: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""
        return self.images.shape[1]

    def _scores(self, images: np.ndarray) -> np.ndarray:
        """Return the share of the votes, (n_samples, n_classes)."""
        known, X = centred(self.images), centred(images.reshape(len(images), -1))
        squares = np.einsum("ij,ij->i", known, known, dtype=np.float64).astype(np.int32)
        one_hot = np.eye(len(self.classes))

        def votes(rows: slice) -> np.ndarray:
            # ‖x - y‖² less ‖x‖², which is the same for all y
            distances = squares - 2 * products(X[rows], known)
            here, share = np.arange(len(distances)), np.zeros((1, 1))
            for _ in range(self.k):
                nearest = distances.argmin(axis=1)
                share = share + one_hot[self.labels[nearest]]
                distances[here, nearest] = np.iinfo(np.int32).max
            return share / self.k

        parts = map_row_blocks(votes, len(X), ROWS)
        return np.concatenate(parts)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "images": (len(self.labels), self.images.shape[-1]),
            "labels": (self.labels.size,),
        }


MODEL = NeighboursModel


def centred(X: np.ndarray) -> np.ndarray:
    """Return grey values less 128, as float32: distances stay what they are."""
    return X.astype(np.float32) - np.float32(128)


def products(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return X Yᵀ, (len(X), len(Y)) int32, exactly; X, Y: as `centred` returns them."""
    parts = [
        (X[:, i : i + EXACT] @ Y[:, i : i + EXACT].T).astype(np.int32)
        for i in range(0, X.shape[1], EXACT)
    ]
    return np.add.reduce(parts, dtype=np.int32)


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> NeighboursModel:
    """Keep the training images."""
    if options.k > len(images):
        raise InputError(f"train.k: there are only {len(images)} images, got {options.k}")
    course.record(1, "images kept", len(images))
    X = images.reshape(len(images), -1)
    return NeighboursModel(
        classes=classes, k=options.k, images=X, labels=y.astype(np.uint8)
    )
