"""What the page holds: models, predictions and test images in, plain values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits import metrics
from digits.config.params import Train
from digits.images import mnist_format
from digits.models.base import Model
from digits.models.decision import Decision
from digits.models.logistic import LogisticBlock
from digits.report import arrays, notebook
from digits.report.calibration import Reliability, reliability

# What the images on the page may take, deflated. In base64 they grow by a third, and
# the rest of MNIST's page takes less than a megabyte, so that the page stays below four.
IMAGE_BYTES = 2_250_000

# The kinds of models that the page can ask, and the arrays that it needs to do so.
ARRAYS = {
    "linear": ("mean", "scale", "coef", "intercept"),
    "lenet5": (
        *("kernel_1", "bias_1", "kernel_2", "bias_2"),
        *("dense_1", "bias_3", "dense_2", "bias_4", "dense_3", "bias_5"),
    ),
}


@dataclass(frozen=True)
class Result:
    """A variant: its parameters, its model, and what that made of the test images.

    classes: (n_classes,) the labels in ascending order
    decision: how scores become a class
    model: of a kind in `ARRAYS`, of images as they are; None if the page cannot ask it
    thresholds: ascending; empty if the decision has none
    scores: (n_samples, n_outputs) float64
    actual, predicted: (n_samples,) labels
    """

    name: str
    subset: str
    train: Train
    thresholds: tuple[float, ...]
    classes: np.ndarray
    decision: Decision
    model: Model | None
    scores: np.ndarray
    actual: np.ndarray
    predicted: np.ndarray

    @property
    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """The class indices of `actual` and `predicted`, each (n_samples,)."""
        return np.searchsorted(self.classes, self.actual), np.searchsorted(
            self.classes, self.predicted
        )


def variant(result: Result, *, is_mnist: bool) -> dict[str, Any]:
    """Return what the page says of a variant in words and numbers."""
    digits = result.classes.tolist()
    actual, predicted = result.indices
    counts = metrics.confusion(actual, predicted, len(digits))
    scalars = metrics.scalars(counts)
    known = is_mnist and notebook.figure(
        result.name, result.train, digits, result.thresholds
    )
    values: dict[str, Any] = {
        "name": result.name,
        "subset": result.subset,
        "model": result.train.model,
        "summary": result.train.summary,
        "preprocess": result.train.preprocess,
        "decision": result.decision.name,
        "kind": result.model and result.model.model_type,
        "digits": digits,
        "cuts": list(result.thresholds),
        "C": result.train.C if isinstance(result.train, LogisticBlock) else None,
        "n_images": len(actual),
        "accuracy": round(scalars["accuracy"], 6),
        "errors": scalars["errors"],
        "f1_macro": round(scalars["f1_macro"], 6),
        "counts": counts.tolist(),
        "notebook": None,
        "calibration": None,
    }
    if known:
        values["notebook"] = {
            "accuracy": round(known.accuracy, 6),
            "errors": known.n_images - known.right,
        }
    if result.decision.is_probabilistic:
        log_probabilities = result.decision.log_probabilities(result.scores)
        values["calibration"] = _bins(reliability(log_probabilities, actual))
        values["log_loss"] = round(metrics.log_loss(log_probabilities, actual), 6)
    return values


def _bins(found: Reliability) -> dict[str, Any]:
    """Return a reliability diagram's bins that hold images, and its gap."""
    bins = [
        {
            "low": i / len(found.counts),
            "high": (i + 1) / len(found.counts),
            "images": int(n_images),
            "stated": round(float(found.stated[i]), 6),
            "right": round(float(found.right[i]), 6),
        }
        for i, n_images in enumerate(found.counts)
        if n_images
    ]
    return {"bins": bins, "gap": round(found.gap, 6)}


def worst_first(result: Result) -> np.ndarray:
    """Return the misclassified test images, (n_errors,), the worst first.

    How bad an error is: by how much the score would have to change for the decision to
    be right, that is, to reach the actual class's stretch between two thresholds, or
    its score the highest other one.
    """
    actual, predicted = result.indices
    rows = np.flatnonzero(actual != predicted)
    size = result.decision.error_size(
        result.scores[rows], actual[rows], predicted[rows], result.thresholds
    )
    return rows[np.argsort(-size, kind="stable")]


def chosen_images(
    images: np.ndarray, misclassified: Sequence[np.ndarray], limit: int = IMAGE_BYTES
) -> np.ndarray:
    """Return which test images the page holds, ascending.

    All, if they take at most `limit` bytes when deflated. Otherwise those that some
    variant gets wrong come first, each variant's worst before its others, and then as
    many of the rest as there is room for.

    images: (n_samples, height, width) uint8
    misclassified: for each variant its misclassified images, the worst first
    """
    n_bytes = len(arrays.deflate(images.tobytes()))
    if n_bytes <= limit:
        return np.arange(len(images))
    rank = np.full(len(images), len(images))
    for rows in misclassified:
        rank[rows] = np.minimum(rank[rows], np.arange(len(rows)))
    order = np.argsort(rank, kind="stable")
    n_kept = int(len(images) * limit / n_bytes)
    while n_kept and len(arrays.deflate(images[np.sort(order[:n_kept])].tobytes())) > limit:
        n_kept = n_kept * 9 // 10
    return np.sort(order[:n_kept])


def packed(
    results: Sequence[Result], images: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the arrays that the page computes with.

    A variant's test images are those of `labels` that are of its classes, in order.

    images: (n_samples, height, width) uint8; labels: (n_samples,)
    """
    worst = [worst_first(result) for result in results]
    rows = [np.flatnonzero(np.isin(labels, result.classes)) for result in results]
    kept = chosen_images(
        images, [here[order] for here, order in zip(rows, worst, strict=True)]
    )
    held: dict[str, np.ndarray] = {
        "labels": labels.astype(np.uint8),
        "kept": kept.astype(np.uint32),
        "images": images[kept],
    }
    for result, order in zip(results, worst, strict=True):
        name = result.name
        held[f"{name}/worst"] = order.astype(np.uint32)
        held[f"{name}/predicted"] = result.indices[1].astype(np.uint8)
        if result.model:
            for field in ARRAYS[result.model.model_type]:
                held[f"{name}/{field}"] = getattr(result.model, field).astype(np.float32)
        if result.decision.uses_thresholds:
            # In full precision, so that a cut falls where evaluate's falls.
            held[f"{name}/scores"] = result.scores[:, 0].astype(np.float64)
    return held


def form(dataset_name: str) -> dict[str, Any]:
    """Return what the page needs to bring a drawing to the data's form."""
    return {
        "box": mnist_format.BOX,
        "ink": mnist_format.INK,
        "beyond": mnist_format.CENTRE_OFFSET,
        "centred": dataset_name in mnist_format.MNIST_LIKE,
    }
