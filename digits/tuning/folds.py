"""The folds of the training images."""

import numpy as np

from digits.errors import InputError


def assign(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each image; each fold has the same share of each class.

    Args:
        labels: (n_samples,) of the training images.
        folds: The number of folds.
        seed: Seed of the random assignment.

    Returns:
        (n_samples,) from 0 to folds - 1.

    Raises:
        InputError: A class has fewer images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415 (slow to import)

    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        raise InputError(
            f"folds: {folds} are more than the {counts.min()} training images of class "
            f"{classes[counts.argmin()]}; set fewer"
        )
    fold = np.empty(len(labels), np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(splitter.split(labels, labels)):
        fold[held_out] = number
    return fold
