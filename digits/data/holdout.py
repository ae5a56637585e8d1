"""A test split for data that has none."""

from typing import NamedTuple

import numpy as np

from digits.data import large
from digits.data.dataset import Split, labels_in
from digits.errors import InputError


class Holdout(NamedTuple):
    """Which share of the images of each class is drawn as test images.

    Attributes:
        share: The share, between 0 and 1; of each class at least one image is kept in
            either split.
        seed: The seed of the random numbers.
    """

    share: float
    seed: int

    def divide(self, whole: Split, origin: object) -> tuple[Split, Split]:
        """Return the training and the test images, each in their order.

        Args:
            whole: All images.
            origin: Where they are from, for the error.

        Raises:
            InputError: If a class has only one image.
        """
        rng = np.random.default_rng(self.seed)
        is_test = np.zeros(len(whole.labels), bool)
        for label in labels_in(whole.labels):
            of_class = np.flatnonzero(whole.labels == label)
            if len(of_class) == 1:
                raise InputError(
                    f"{origin}: the class with label {label} has only one image, which "
                    "cannot be both a training and a test image"
                )
            n_test = min(max(round(self.share * len(of_class)), 1), len(of_class) - 1)
            is_test[rng.permutation(of_class)[:n_test]] = True
        train, test = (
            Split(*(large.chosen(array, rows) for array in whole))
            for rows in (~is_test, is_test)
        )
        return train, test
