"""How small a change of all pixels flips a model's answer.

Each pixel changes by at most ε whole grey levels, and stays between 0 and 255. The page
computes the same for one image, in perturbation.js, with the same directions and scores.

Of a linear model, `linear_robustness` has the smallest ε.

LeNet-5 is not linear, so its direction is a guess: the sign of the gradient of its second
largest logit minus its largest one, as in Goodfellow, Shlens and Szegedy, "Explaining and
harnessing adversarial examples", 2015. An ε that flips the answer in this direction is an
upper bound of the smallest one.

All scores are exact, and so is the gradient: what goes back through a layer is rounded to
so few bits that the sums of the next one are exact. So each processor finds the same signs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from digits import parallel
from digits.methods import lenet5
from digits.methods.lenet5 import LeNet5
from digits.models.linear import BRIGHTEST, LinearModel
from digits.report import linear_robustness
from digits.report.linear_robustness import NEVER

LEVELS = (1, 2, 4, 8, 16, 32)  # the values of ε that are tried
MOST_IMAGES = {"linear": 10_000, "lenet5": 1_000}  # about a second
# Of what goes back through a layer. Its weights have 22 bits, and the longest sum has 400
# terms: the 5 by 5 places of 16 maps.
GRADIENT_BITS = 20
BLOCK_ROWS = 250


def flips(
    model: LinearModel | LeNet5, images: np.ndarray, thresholds: tuple[float, ...]
) -> dict[str, Any]:
    """Count the images whose answer is flipped, for each of `LEVELS`.

    Args:
        model: The model.
        images: (n_samples, height, width) uint8; only the first `MOST_IMAGES` are tried.
        thresholds: Of the decision.

    Returns:
        As `Flips` in page/payload.js.
    """
    some = images[: MOST_IMAGES[model.model_type]]
    levels = smallest_levels(model, some, thresholds)
    return {
        "images": len(some),
        "levels": list(LEVELS),
        "counts": [int((levels <= level).sum()) for level in LEVELS],
        "is_bound": isinstance(model, LeNet5),
    }


def smallest_levels(
    model: LinearModel | LeNet5, images: np.ndarray, thresholds: tuple[float, ...]
) -> np.ndarray:
    """Return (n_samples,) the smallest of `LEVELS` that flips each answer, or `NEVER`.

    Args:
        model: The model.
        images: (n_samples, height, width) uint8.
        thresholds: Of the decision.
    """
    find: Callable[[np.ndarray], np.ndarray]
    if isinstance(model, LeNet5):
        find = partial(_of_lenet5, model)
    else:
        decide = partial(model.decision.predict, thresholds=thresholds)
        find = partial(_of_linear, model.weights, model.offset, decide)
    blocks = parallel.map_row_blocks(
        lambda rows: find(images[rows]), len(images), BLOCK_ROWS
    )
    return np.concatenate([np.empty(0, int), *blocks])


def _try_levels(n_samples: int, is_flipped: Callable[[np.ndarray, int], Any]) -> np.ndarray:
    """Return the first of `LEVELS` at which each answer is flipped.

    Args:
        n_samples: The number of images.
        is_flipped: Called with the rows to try and a level; returns a bool for each row.
    """
    found = np.full(n_samples, NEVER)
    for level in LEVELS:
        rows = np.flatnonzero(found == NEVER)
        found[rows[is_flipped(rows, level)]] = level
    return found


def _of_linear(
    weights: np.ndarray,
    offset: np.ndarray,
    decide: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
) -> np.ndarray:
    is_flipped = linear_robustness.flip_test(weights, offset, decide, images)
    return _try_levels(len(images), is_flipped)


def _of_lenet5(model: LeNet5, images: np.ndarray) -> np.ndarray:
    answers = model.scores(images).argmax(axis=1)
    directions = gradient_signs(model, images)

    def is_flipped(rows: np.ndarray, level: int) -> np.ndarray:
        changed = pushed(images[rows], directions[rows], level)
        return np.not_equal(model.scores(changed).argmax(axis=1), answers[rows])

    return _try_levels(len(images), is_flipped)


def pushed(images: np.ndarray, directions: np.ndarray, level: int) -> np.ndarray:
    """Return images whose pixels change by a level in their directions.

    Args:
        images: uint8, of any shape.
        directions: -1, 0 or 1; of a shape that broadcasts to that of the images.
        level: In grey values.
    """
    changed = images.astype(np.int16) + level * directions.astype(np.int16)
    return changed.clip(0, BRIGHTEST).astype(np.uint8)


def gradient_signs(model: LeNet5, images: np.ndarray) -> np.ndarray:
    """Return the signs of the gradient of the second largest logit minus the largest one.

    Rounding down counts as the identity. Of equal values in a square, the first one is the
    maximum.

    Args:
        model: The model.
        images: (n_samples, height, width) uint8.

    Returns:
        (n_samples, height, width) int8: -1, 0 or 1.
    """
    weights = model.on_grids
    padded = lenet5.pad(images).astype(np.float64)
    maps, convolved, pooled = padded[..., None], [], []
    for i in (1, 2):
        convolved.append(_convolve(maps, weights[f"kernel_{i}"], weights[f"bias_{i}"]))
        maps = _squares(convolved[-1]).max(axis=3)
        pooled.append(maps)
    units = [maps.reshape(len(images), -1)]
    for i in (1, 2):
        sums = units[-1] @ weights[f"dense_{i}"] + weights[f"bias_{i + 2}"]
        units.append(np.maximum(np.floor(sums), 0))
    logits = units[-1] @ weights["dense_3"] + weights["bias_5"]
    order = np.argsort(-logits, axis=1, kind="stable")
    back = (weights["dense_3"][:, order[:, 1]] - weights["dense_3"][:, order[:, 0]]).T
    for i in (2, 1):
        back = _few_bits(back * (units[i] > 0)) @ weights[f"dense_{i}"].T
    back = back.reshape(pooled[1].shape)
    for i in (2, 1):
        back = _unpool(_few_bits(back * (pooled[i - 1] > 0)), convolved[i - 1])
        back = _convolve_back(back, weights[f"kernel_{i}"])
    top, left = (
        (padded.shape[axis] - images.shape[axis]) // 2 for axis in (1, 2)
    )  # of an odd margin, `pad` puts the smaller part first
    inside = back[:, top : top + images.shape[1], left : left + images.shape[2], 0]
    return np.sign(inside).astype(np.int8)


def _few_bits(values: np.ndarray) -> np.ndarray:
    """Round each row's values to multiples of a power of two: `GRADIENT_BITS` of them."""
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    steps = np.ldexp(1.0, np.frexp(largest)[1] - GRADIENT_BITS)
    steps = steps.reshape(-1, *(1,) * (values.ndim - 1))
    return np.rint(values / steps) * steps


def _convolve(maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the activations before pooling.

    Args:
        maps: (n_samples, height, width, n_in).
        kernel: (side, side, n_in, n_out).
        bias: (n_out,).

    Returns:
        (n_samples, height - side + 1, width - side + 1, n_out) whole numbers.
    """
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape[:2], (1, 2))
    sums = np.tensordot(windows, kernel, ([4, 5, 3], [0, 1, 2])) + bias
    return np.maximum(np.floor(sums), 0)


def _squares(maps: np.ndarray) -> np.ndarray:
    """Return (n_samples, rows, columns, 4, n_out): the values of squares of two by two.

    An odd last row or column is dropped.
    """
    n, high, wide, n_out = maps.shape
    rows, columns = high // 2, wide // 2
    cut = maps[:, : 2 * rows, : 2 * columns].reshape(n, rows, 2, columns, 2, n_out)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, 4, n_out)


def _unpool(back: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Move what goes back to each square to its maximum, the first one.

    Args:
        back: (n_samples, rows, columns, n_out).
        maps: (n_samples, height, width, n_out), the values before pooling.

    Returns:
        Of the shape of `maps`.
    """
    n, rows, columns, n_out = back.shape
    squares = _squares(maps)
    is_first = squares.argmax(axis=3)[:, :, :, None] == np.arange(4)[:, None]
    spread = (is_first * back[:, :, :, None]).reshape(n, rows, columns, 2, 2, n_out)
    moved = np.zeros(maps.shape)
    moved[:, : 2 * rows, : 2 * columns] = spread.transpose(0, 1, 3, 2, 4, 5).reshape(
        n, 2 * rows, 2 * columns, n_out
    )
    return moved


def _convolve_back(back: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the gradient for a convolution's input.

    Args:
        back: (n_samples, rows, columns, n_out).
        kernel: (side, side, n_in, n_out).

    Returns:
        (n_samples, rows + side - 1, columns + side - 1, n_in).
    """
    n, rows, columns, _ = back.shape
    side, _, n_in, _ = kernel.shape
    total = np.zeros((n, rows + side - 1, columns + side - 1, n_in))
    for y, x in np.ndindex(side, side):
        total[:, y : y + rows, x : x + columns] += back @ kernel[y, x].T
    return total
