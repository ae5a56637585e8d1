"""A model as an ONNX graph: images in; labels, scores and probabilities out.

The graph does what `Model.scores` does, step by step and in float64, so its sums are as
exact, and the scores the same in every bit. Each type of model has a function in `SCORES`.

In runtimes other than onnxruntime on a CPU, float64 may be slow or missing.
"""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from digits import grid
from digits.errors import InputError
from digits.export.fitted import INPUT, Fitted, margins
from digits.export.onnx_graph import Graph, declare
from digits.methods import lenet5
from digits.methods.random_features import EXPONENT_STEP
from digits.models import features
from digits.models.decision import Decision, Probabilistic, Softmax

N_POOLED = lenet5.POOL**2  # values of which max pooling keeps the largest


def save(fitted: Fitted, path: Path) -> None:
    """Write the model; the same model and metadata give the same bytes.

    Raises:
        InputError: This type of model has no function in `SCORES`.
    """
    path.write_bytes(build(fitted).SerializeToString(deterministic=True))


def build(fitted: Fitted) -> Any:
    """Return the model as an `onnx.ModelProto`.

    Raises:
        InputError: This type of model has no function in `SCORES`.
    """
    model, (height, width) = fitted.model, fitted.shape
    if model.model_type not in SCORES:
        raise InputError(
            f"{fitted.variant}: digits/export/onnx_model.py cannot express a model of type "
            f"{model.model_type}"
        )
    g = Graph()
    images = "images"
    if model.preprocess == "deskew":
        images = deskew(g, images, height, width)
    pixels = g.reshape(images, 0, height * width)
    scores = SCORES[model.model_type](g, fitted, pixels)
    index = decide(g, model.decision, scores, fitted.thresholds)
    n_classes = len(model.classes)
    outputs = [
        declare("label", np.int64, ["n"], "the label of the predicted class"),
        declare(
            "scores", np.float64, ["n", model.n_outputs], "a score for each class, or one"
        ),
    ]
    g.rename(g.add("Gather", fitted.labels, index), "label")
    g.rename(scores, "scores")
    if isinstance(model.decision, Probabilistic):
        g.rename(probabilities(g, model.decision, scores), "probabilities")
        doc = "the probability of each class, in the order of the labels in the metadata"
        outputs.append(declare("probabilities", np.float64, ["n", n_classes], doc))
    return g.build(
        fitted.variant,
        [declare("images", np.uint8, ["n", height, width], INPUT.format(height, width))],
        outputs,
        fitted.texts,
        producer_name="digits",
        producer_version=fitted.metadata["versions"]["digits"],
    )


def deskew(g: Graph, images: str, height: int, width: int) -> str:
    """Return the images upright: the steps of `digits.models.preprocessing.deskew`.

    Sums are whole numbers below 2⁵³, so float64 has the same ones as int64.
    """
    rows, columns = np.arange(height, dtype=float), np.arange(width, dtype=float)
    ink = g.cast(images, float)
    by_row, by_column = g.sum(ink, 2), g.sum(ink, 1)
    mass = g.sum(by_row, 1)
    row_sum, column_sum = g.add("MatMul", by_row, rows), g.add("MatMul", by_column, columns)
    both = g.add("MatMul", g.add("MatMul", ink, columns), rows)
    covariance = g.add("Sub", g.add("Mul", mass, both), g.add("Mul", row_sum, column_sum))
    squares = g.add("Mul", mass, g.add("MatMul", by_row, rows**2))
    variance = g.add("Sub", squares, g.add("Mul", row_sum, row_sum))
    one = np.array(1.0)
    slope = g.reshape(g.add("Div", covariance, g.add("Max", variance, one)), 0, 1)
    middle = g.reshape(g.add("Div", row_sum, g.add("Max", mass, one)), 0, 1)
    shift = g.add("Mul", slope, g.add("Sub", rows, middle))
    source = g.add("Add", columns, g.reshape(shift, 0, height, 1))
    left = g.add("Floor", source)
    part = g.add("Sub", source, left)
    sides = np.array([0, 0, 1, 0, 0, 1], np.int64)  # no ink beyond the edge
    padded = g.add("Pad", ink, sides)

    def weighted(weight: str, at: str) -> str:
        inside = g.add("Clip", at, np.array(0.0), np.array(width + 1.0))
        ink_there = g.add("GatherElements", padded, g.cast(inside, np.int64), axis=2)
        return g.add("Mul", weight, ink_there)

    right = g.add("Add", left, one)
    sheared = g.add(
        "Add",
        weighted(g.add("Sub", one, part), right),
        weighted(part, g.add("Add", right, one)),
    )
    return g.cast(g.add("Round", sheared), np.uint8)


def decide(g: Graph, decision: Decision, scores: str, thresholds: tuple[float, ...]) -> str:
    """Return the index of the predicted class, (n,) int64."""
    if not decision.has_single_score:
        return g.add("ArgMax", scores, axis=1, keepdims=0)
    above = g.add("Greater", scores, np.array(thresholds or (0.0,)))
    return g.sum(g.cast(above, np.int64), 1)


def probabilities(g: Graph, decision: Probabilistic, scores: str) -> str:
    """Return the probability of each class, (n, n_classes) float64."""
    logits = scores
    if decision.has_single_score:  # the log-odds of the second of two classes
        logits = g.add("Pad", scores, np.array([0, 1, 0, 0], np.int64))
    elif decision != Softmax():  # of a class against all others
        # log 1 / (1 + e^-s) = min(s, 0) - log(1 + e^-|s|)
        tail = g.add("Exp", g.add("Neg", g.add("Abs", scores)))
        tail = g.add("Log", g.add("Add", tail, np.array(1.0)))
        logits = g.add("Sub", g.add("Min", scores, np.array(0.0)), tail)
    return g.add("Softmax", logits, axis=1)


def _linear(g: Graph, fitted: Fitted, pixels: str) -> str:
    model: Any = fitted.model
    return _affine(g, g.cast(pixels, float), model.weights, model.offset)


def _affine(g: Graph, X: str, coef: np.ndarray, intercept: np.ndarray) -> str:
    return g.add("Add", g.add("MatMul", X, coef.T), intercept)


def _lenet5(g: Graph, fitted: Fitted, pixels: str) -> str:
    """Return the logits; a convolution is a product with the gathered windows."""
    model: Any = fitted.model
    weights = model.on_grids
    height, width = fitted.shape
    maps = g.reshape(g.cast(pixels, float), 0, height, width)
    (top, bottom), (left, right) = margins(fitted.shape)
    sides = np.array([0, top, left, 0, bottom, right], np.int64)
    height, width = height + top + bottom, width + left + right
    maps = g.reshape(g.add("Pad", maps, sides), 0, height * width, 1)
    for i in (1, 2):
        kernel = weights[f"kernel_{i}"]
        places = _pooled_windows(height, width)
        height, width = ((side - lenet5.KERNEL + 1) // 2 for side in (height, width))
        kernel = kernel.reshape(-1, kernel.shape[-1])
        windows = g.add("Gather", maps, places, axis=1)
        windows = g.reshape(windows, 0, height * width, N_POOLED, len(kernel))
        values = g.add("MatMul", windows, kernel)
        largest = g.add("ReduceMax", values, axes=[2], keepdims=0)
        maps = _activate(g, g.add("Add", largest, weights[f"bias_{i}"]))
    hidden = g.reshape(maps, 0, len(weights["dense_1"]))
    for i in (1, 2):
        hidden = _activate(
            g, _affine(g, hidden, weights[f"dense_{i}"].T, weights[f"bias_{i + 2}"])
        )
    return _affine(g, hidden, weights["dense_3"].T, weights["bias_5"])


def _activate(g: Graph, values: str) -> str:
    """Return ReLU, rounded down to whole numbers."""
    return g.add("Relu", g.add("Floor", values))


def _pooled_windows(height: int, width: int) -> np.ndarray:
    """Return where each value of a convolution comes from, in the order of max pooling.

    Args:
        height: Height of a map.
        width: Width of a map.

    Returns:
        (n_pooled, 4, 25) int64: of each square of two by two, of each place in it, the
        indices of its window in the flattened map. An odd last row or column is dropped.
    """
    at = np.arange(height * width).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(at, (lenet5.KERNEL, lenet5.KERNEL))
    high, wide = (side // 2 for side in windows.shape[:2])
    squares = windows[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, -1)
    return squares.transpose(0, 2, 1, 3, 4).reshape(high * wide, N_POOLED, -1)


def _nearest_neighbours(g: Graph, fitted: Fitted, pixels: str) -> str:
    """Return the share of votes; among equals `TopK` takes the first, as NumPy does."""
    model: Any = fitted.model
    distances = _squares_less_products(g, pixels, model.images)
    k = np.array([model.k], np.int64)
    nearest = g.add("TopK", distances, k, axis=1, largest=0, take=1)
    votes = g.add("Gather", model.labels.astype(np.int64), nearest)
    shares = g.sum(g.add("Gather", np.eye(len(model.classes)), votes), 1)
    return g.add("Div", shares, np.array(float(model.k)))


def _squares_less_products(g: Graph, pixels: str, Y: np.ndarray) -> str:
    """Return ‖y‖² - 2 x·y, (n, m) int32, for m images Y: the distances without ‖x‖²."""
    squares = np.einsum("ij,ij->i", *2 * [Y.astype(np.int32)])
    products = g.add("MatMulInteger", pixels, Y.T)  # of uint8, exact in int32
    return g.add("Sub", squares, g.add("Mul", products, np.array(2, np.int32)))


def _gaussian_kernel(g: Graph, pixels: str, Y: np.ndarray, gamma: float) -> str:
    """Return exp(-gamma ‖x - y‖²), rounded as in `digits.models.distances`."""
    X = g.cast(pixels, np.int32)
    squares = g.reshape(g.sum(g.add("Mul", X, X), 1), 0, 1)
    distances = g.add("Add", _squares_less_products(g, pixels, Y), squares)
    exponent = g.add("Mul", g.cast(distances, float), np.array(-gamma))
    exponent = _snap(g, exponent, features.STEP)
    return _snap(g, g.add("Exp", exponent), features.STEP)


def _snap(g: Graph, values: str, step: float) -> str:
    """Return the nearest multiples of a power of two."""
    in_steps = g.add("Round", g.add("Mul", values, np.array(1 / step)))
    return g.add("Mul", in_steps, np.array(step))


def _support_vectors(g: Graph, fitted: Fitted, pixels: str) -> str:
    model: Any = fitted.model
    kernel = _gaussian_kernel(g, pixels, model.vectors, model.gamma / 255**2)
    return _votes(g, _affine(g, kernel, model.coef, model.intercept), model.classes)


def _pairwise(g: Graph, fitted: Fitted, pixels: str) -> str:
    model: Any = fitted.model
    margins_ = _affine(g, g.cast(pixels, float), model.coef, model.intercept)
    return _votes(g, margins_, model.classes)


def _votes(g: Graph, of_pairs: str, classes: np.ndarray) -> str:
    """Return the votes, as `digits.models.pairs.votes`, with sums in the same order."""
    n = len(classes)
    number = {pair: i for i, pair in enumerate(combinations(range(n), 2))}
    won = g.cast(g.add("Greater", of_pairs, np.array(0.0)), float)
    votes, lead = "", ""
    for other in range(n - 1):
        # each class against its `other` opponent, in ascending order
        pairs = [(c, other + 1) if c <= other else (other, c) for c in range(n)]
        at = np.array([number[pair] for pair in pairs])
        first = np.array([pair[0] == c for c, pair in enumerate(pairs)])
        sign, lost = np.where(first, 1.0, -1.0), np.where(first, 0.0, 1.0)
        margin = g.add("Mul", g.add("Gather", of_pairs, at, axis=1), sign)
        lead = g.add("Add", lead, margin) if lead else margin
        vote = g.add("Mul", g.add("Gather", won, at, axis=1), sign)
        vote = g.add("Add", vote, lost)
        votes = g.add("Add", votes, vote) if votes else vote
    one, three = np.array(1.0), np.array(3.0)
    bound = g.add("Mul", three, g.add("Add", g.add("Abs", lead), one))
    return g.add("Add", votes, g.add("Div", lead, bound))


def _on_features(g: Graph, model: Any, F: str) -> str:
    """Return scores that are linear in features, as `FeatureModel._scores`."""
    bound = (np.abs(model.coef) * model.largest()).sum(axis=1).max()
    high = grid.round_to(model.coef, grid.exact_step(bound) / features.STEP)
    low = model.coef - high
    scores = g.add("MatMul", F, high.T)
    if low.any():
        scores = g.add("Add", scores, g.add("MatMul", F, low.T))
    return g.add("Add", scores, model.intercept)


def _radial_basis(g: Graph, fitted: Fitted, pixels: str) -> str:
    model: Any = fitted.model
    gamma = 1 / (2 * model.sigma * model.sigma)
    return _on_features(g, model, _gaussian_kernel(g, pixels, model.centres, gamma))


def _random_features(g: Graph, fitted: Fitted, pixels: str) -> str:
    model: Any = fitted.model
    sums = g.add("MatMul", g.cast(pixels, np.float32), model.weights.T)
    # Rounded to float32, as NumPy does. A product in float32 would be fused with `MatMul`,
    # which then rounds otherwise.
    factor = np.array(np.float32(-2 / 255), float)
    exponent = g.cast(g.add("Mul", g.cast(sums, float), factor), np.float32)
    exponent = _snap(g, g.cast(exponent, float), EXPONENT_STEP)
    one = np.array(1.0)
    sigmoid = g.add("Div", one, g.add("Add", g.add("Exp", exponent), one))
    return _on_features(g, model, _snap(g, sigmoid, features.STEP))


def _principal_quadratic(g: Graph, fitted: Fitted, pixels: str) -> str:
    model: Any = fitted.model
    centred = g.add("Sub", g.cast(pixels, float), model.mean)
    Z = _snap(g, g.add("MatMul", centred, model.components.T), features.STEP)
    i, j = np.triu_indices(len(model.components))
    products = g.add("Mul", *(g.add("Gather", Z, k, axis=1) for k in (i, j)))
    F = g.add("Concat", Z, _snap(g, products, features.STEP), axis=1)
    return _on_features(g, model, F)


SCORES: dict[str, Callable[[Graph, Fitted, str], str]] = {
    "lenet5": _lenet5,
    "linear": _linear,
    "nearest_neighbours": _nearest_neighbours,
    "pairwise_regression": _pairwise,
    "principal_quadratic": _principal_quadratic,
    "radial_basis": _radial_basis,
    "random_features": _random_features,
    "support_vectors": _support_vectors,
}
