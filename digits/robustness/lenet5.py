"""How small a change of all pixels flips an answer of LeNet-5: an upper bound.

LeNet-5 is not linear, so the direction is a guess: the sign of the gradient of its second
largest logit minus its largest one, as in Goodfellow, Shlens and Szegedy, "Explaining and
harnessing adversarial examples", 2015. A change that flips the answer in this direction is
an upper bound of the smallest one.

All scores are exact, and so is the gradient: what goes back through a layer is rounded to
so few bits that the sums of the next one are exact. So each processor finds the same signs.
"""

from collections.abc import Callable

import numpy as np

from digits import parallel
from digits.methods import lenet5
from digits.methods.lenet5 import LeNet5
from digits.robustness.levels import BLOCK_ROWS, pushed

# Of what goes back through a layer. Its weights have 22 bits, and the longest sum has 400
# terms: the 5 by 5 places of 16 maps.
GRADIENT_BITS = 20


def flip_test(
    model: LeNet5,
    images: np.ndarray,
    thresholds: tuple[float, ...],  # noqa: ARG001 (as of a linear model)
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return a function that tells which answers a change of some levels flips.

    Args:
        model: The model.
        images: (n_samples, height, width) uint8.
        thresholds: Of the decision: none.

    Returns:
        Takes row numbers and a level, and returns a bool for each row.
    """
    answers = model.scores(images).argmax(axis=1)
    blocks = parallel.map_row_blocks(
        lambda rows: gradient_signs(model, images[rows]), len(images), BLOCK_ROWS
    )
    directions = np.concatenate(blocks)

    def is_flipped(rows: np.ndarray, level: int) -> np.ndarray:
        changed = pushed(images[rows], directions[rows], level)
        return np.not_equal(model.scores(changed).argmax(axis=1), answers[rows])

    return is_flipped


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
    padded = lenet5.pad(images)
    # Images are the last axis of maps, as in `convolve_and_pool`, but the first of units.
    maps = padded.transpose(1, 2, 0)[None].astype(np.float64)
    convolved, pooled = [], []
    for i in (1, 2):
        convolved.append(_convolve(maps, weights[f"kernel_{i}"], weights[f"bias_{i}"]))
        maps = _squares(convolved[-1]).max(axis=3)
        pooled.append(maps)
    units = [maps.transpose(3, 1, 2, 0).reshape(len(images), -1)]
    for i in (1, 2):
        sums = units[-1] @ weights[f"dense_{i}"] + weights[f"bias_{i + 2}"]
        units.append(np.maximum(np.floor(sums), 0))
    logits = units[-1] @ weights["dense_3"] + weights["bias_5"]
    order = np.argsort(-logits, axis=1, kind="stable")
    back = (weights["dense_3"][:, order[:, 1]] - weights["dense_3"][:, order[:, 0]]).T
    for i in (2, 1):
        back = _few_bits(back * (units[i] > 0), axis=1) @ weights[f"dense_{i}"].T
    n_maps, height, width, n = maps.shape
    back = back.reshape(n, height, width, n_maps).transpose(3, 1, 2, 0)
    for i in (2, 1):
        back = _few_bits(back * (pooled[i - 1] > 0), axis=(0, 1, 2))
        back = _convolve_back(_unpool(back, convolved[i - 1]), weights[f"kernel_{i}"])
    top, left = (
        (padded.shape[axis] - images.shape[axis]) // 2 for axis in (1, 2)
    )  # of an odd margin, `pad` puts the smaller part first
    inside = back[0, top : top + images.shape[1], left : left + images.shape[2]]
    return np.sign(inside.transpose(2, 0, 1)).astype(np.int8)


def _few_bits(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Round each image's values to multiples of a power of two: `GRADIENT_BITS` of them.

    Args:
        values: Of several images.
        axis: All axes but that of the images.
    """
    largest = np.abs(values).max(axis=axis, keepdims=True)
    steps = np.ldexp(1.0, np.frexp(largest)[1] - GRADIENT_BITS)
    return np.rint(values / steps) * steps


def _convolve(maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the activations before pooling.

    Args:
        maps: (n_in, height, width, n_samples).
        kernel: (side, side, n_in, n_out).
        bias: (n_out,).

    Returns:
        (n_out, height - side + 1, width - side + 1, n_samples) whole numbers.
    """
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape[:2], axis=(1, 2))
    columns = windows.transpose(4, 5, 0, 1, 2, 3)  # as the kernel, then as the result
    n_out = kernel.shape[3]
    sums = kernel.reshape(-1, n_out).T @ columns.reshape(kernel.size // n_out, -1)
    sums += bias[:, None]
    activations = np.maximum(np.floor(sums, out=sums), 0, out=sums)
    return activations.reshape(n_out, *columns.shape[3:])


def _squares(maps: np.ndarray) -> np.ndarray:
    """Return the values of squares of two by two; an odd last row or column is dropped.

    Args:
        maps: (n_out, height, width, n_samples).

    Returns:
        (n_out, rows, columns, 4, n_samples).
    """
    n_out, high, wide, n = maps.shape
    rows, columns = high // 2, wide // 2
    cut = maps[:, : 2 * rows, : 2 * columns].reshape(n_out, rows, 2, columns, 2, n)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(n_out, rows, columns, 4, n)


def _unpool(back: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Move what goes back to each square to its maximum, the first one.

    Args:
        back: (n_out, rows, columns, n_samples).
        maps: (n_out, height, width, n_samples), the values before pooling.

    Returns:
        Of the shape of `maps`.
    """
    rows, columns = back.shape[1:3]
    squares = _squares(maps)
    moved = np.zeros(maps.shape)
    is_free = np.ones(back.shape, bool)  # no maximum has been found
    largest = squares.max(axis=3)
    for place, (y, x) in enumerate(np.ndindex(2, 2)):
        is_first = is_free & (squares[:, :, :, place] == largest)
        moved[:, y : 2 * rows : 2, x : 2 * columns : 2] = back * is_first
        is_free &= ~is_first
    return moved


def _convolve_back(back: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the gradient for a convolution's input.

    Args:
        back: (n_out, rows, columns, n_samples).
        kernel: (side, side, n_in, n_out).

    Returns:
        (n_in, rows + side - 1, columns + side - 1, n_samples).
    """
    n_out, rows, columns, n = back.shape
    side, _, n_in, _ = kernel.shape
    products = kernel.reshape(-1, n_out) @ back.reshape(n_out, -1)
    products = products.reshape(side, side, n_in, rows, columns, n)
    total = np.zeros((n_in, rows + side - 1, columns + side - 1, n))
    for y, x in np.ndindex(side, side):
        total[:, y : y + rows, x : x + columns] += products[y, x]
    return total
