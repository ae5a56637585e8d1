"""How small a change of all pixels flips an answer of a linear model: in closed form.

Each pixel changes by at most ε whole grey levels, and stays between 0 and 255. Let a be the
answer for an image x, and k another class. Of all such changes, the one that adds
ε · sign(w_k - w_a) to x and clips it gains most for k against a, because each pixel
contributes on its own. This gain never falls when ε grows. So the answer can be flipped by
ε exactly if one of these changes, one for each k, flips it. Without clipping, that is
ε > (s_a - s_k) / Σ|w_k - w_a|. A model with one score is pushed up or down.

All sums are exact, so each processor finds the same answers.
"""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from digits.models.base import flatten
from digits.models.linear import LinearModel
from digits.robustness.levels import BRIGHTEST, NEVER


def half_level(model: LinearModel, images: np.ndarray) -> int:
    """Return the smallest change that flips at least half of the answers, or `NEVER`.

    Args:
        model: A model whose decision has no thresholds.
        images: (n_samples, height, width) uint8, at least one.

    Returns:
        In whole grey levels.
    """
    is_flipped = flip_test(model, images, ())
    rows = np.arange(len(images))

    def is_enough(level: int) -> bool:
        return bool(2 * is_flipped(rows, level).sum() >= len(rows))

    return 1 + bisect_left(range(1, NEVER), x=True, key=is_enough)


def flip_test(
    model: LinearModel, images: np.ndarray, thresholds: tuple[float, ...]
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return a function that tells which answers a change of some levels flips.

    Args:
        model: The model.
        images: (n_samples, height, width) uint8.
        thresholds: Of the decision.

    Returns:
        Takes row numbers and a level, and returns a bool for each row.
    """
    weights, X, scores = model.weights, flatten(images), model.scores(images)

    def decide(scores: np.ndarray) -> np.ndarray:
        return model.decision.predict(scores, thresholds)

    answers = decide(scores)

    def is_flipped(rows: np.ndarray, level: int) -> np.ndarray:
        pixels = X[rows].astype(np.float64)
        up, down = np.minimum(level, BRIGHTEST - pixels), np.minimum(level, pixels)
        flipped = np.zeros(len(rows), bool)
        if len(weights) == 1:
            for sign in (1, -1):  # the score rises or falls by as much as it can
                rising, falling = (
                    np.maximum(sign * weights, 0),
                    np.maximum(-sign * weights, 0),
                )
                change = sign * (up @ rising.T + down @ falling.T)
                flipped |= decide(scores[rows] + change) != answers[rows]
            return flipped
        for answer in np.unique(answers[rows]):
            here = answers[rows] == answer
            own = scores[rows[here]]
            flipped[here] = _is_beaten(weights, own, answer, up[here], down[here])
        return flipped

    return is_flipped


def _is_beaten(
    weights: np.ndarray, scores: np.ndarray, answer: int, up: np.ndarray, down: np.ndarray
) -> np.ndarray:
    """Tell whether a change makes another class win against the answer.

    Args:
        weights: (n_classes, n_pixels).
        scores: (n_samples, n_classes), of images with this answer.
        answer: The class index.
        up: (n_samples, n_pixels) by how much each pixel can rise.
        down: Of the same shape: by how much it can fall.

    Returns:
        (n_samples,) bool.
    """
    signs = np.sign(weights - weights[answer])  # of each class's direction
    theirs, its = (
        before + up @ (which * (signs > 0)).T - down @ (which * (signs < 0)).T
        for before, which in (
            (scores, weights),
            (scores[:, [answer]], weights[answer]),
        )
    )
    is_before = np.arange(len(weights)) < answer  # of equal scores the first one wins
    beaten: np.ndarray = np.where(is_before, theirs >= its, theirs > its).any(axis=1)
    return beaten
