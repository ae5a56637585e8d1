"""The content of the page: models, predictions and test images in, plain values out."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from digits import certainty, metrics
from digits.data.dataset import Split
from digits.figures import FEW_CLASSES
from digits.images import lines, mnist_format
from digits.methods import lenet5
from digits.models.base import Model
from digits.models.decision import OneVsRest, Probabilistic
from digits.models.linear import LinearModel
from digits.report import notebook_results, packed_arrays, story
from digits.report.calibration import Reliability, reliability
from digits.report.regularisation import RegularisationPath
from digits.report.result import Result
from digits.robustness.levels import LEVELS
from digits.thresholds import best_thresholds

# The size of the images on the page, deflated. In base64 they grow by a third, and the rest
# of MNIST's page takes less than a megabyte, so that the page stays below four.
IMAGE_BYTES = 2_250_000

# The types of models that the page can run, and the arrays that it needs for them.
MODEL_ARRAYS = {
    "linear": ("weights", "offset", "mean", "scale"),
    "lenet5": (
        *("kernel_1", "bias_1", "kernel_2", "bias_2"),
        *("dense_1", "bias_3", "dense_2", "bias_4", "dense_3", "bias_5", "kernels"),
    ),
}


def payload(
    results: Sequence[Result],
    test: Split,
    described: dict[str, Any],
    paths: Mapping[str, RegularisationPath] = MappingProxyType({}),
) -> tuple[dict[str, Any], str]:
    """Return the data of the page's scripts, which the template uses as well.

    Args:
        results: All variants, in the order of params.yaml.
        test: All test images.
        described: The data set: its `name` in params.yaml, `source`, `title`, `names` of
            the classes by label, `n_train` images, and, where known, the `train_counts` of
            the classes, and whether the images are `mnist_like`.
        paths: The regularisation paths, by subset.

    Returns:
        Plain values, as described by `Payload` in page/payload.js, and the text of the
        packed arrays.
    """
    by_classes = sorted(paths.items(), key=lambda path: -len(path[1].classes))
    arrays = page_arrays(results, test, len(described["names"]))
    # A space is in no name of a variant.
    arrays |= {f"path of/{subset}": path.weights for subset, path in by_classes}
    packed = packed_arrays.pack(arrays)
    height, width = test.images.shape[1:]
    is_mnist = described["name"] == "mnist"
    values = {
        "dataset": described
        | {
            "height": height,
            "width": width,
            "train_counts": described.get("train_counts"),
            "n_test": len(test.labels),
            "n_included": len(arrays["included_images"]),
        },
        "image_format": image_format(centred=described.get("mnist_like", is_mnist)),
        "lenet5": {"min_side": lenet5.SIDE, "min_padding": lenet5.PAD},
        "few_classes": FEW_CLASSES,
        "layout": packed.layout,
        "model_arrays": MODEL_ARRAYS,
        "levels": list(story.LEVELS),
        "ranking": story.ranking(results),
        "n_wrong_for_all": story.n_wrong_for_all(results),
        "paths": [path.plain(subset) for subset, path in by_classes],
        "variants": [
            variant(result, is_mnist=is_mnist)
            | {"only_right": story.only_right(result, results)}
            | {"flips": flips(result)}
            for result in results
        ],
    }
    return values, packed.text


def variant(result: Result, *, is_mnist: bool) -> dict[str, Any]:
    """Return the plain values of a variant."""
    classes = result.classes.tolist()
    actual, predicted = result.indices
    counts = metrics.confusion(actual, predicted, len(classes))
    scalars = metrics.scalars(counts)
    interval = certainty.wilson(int(np.trace(counts)), len(actual))
    values: dict[str, Any] = {
        "name": result.name,
        "subset": result.subset,
        "summary": result.train.summary,
        "preprocess": result.train.preprocess,
        "C": getattr(result.train, "C", None),
        "decision": result.decision.name,
        "model_type": result.model and result.model.model_type,
        "classes": classes,
        "thresholds": list(result.thresholds),
        "n_images": len(actual),
        "accuracy": round(scalars["accuracy"], 6),
        "accuracy_interval": [round(bound, 6) for bound in interval],
        "errors": scalars["errors"],
        "f1_macro": round(scalars["f1_macro"], 6),
        "confusion": counts.tolist(),
        "yes_counts": None,
        "histogram": None,
        "best_thresholds": None,
        "notebook": None,
        "calibration": None,
    }
    notebook = is_mnist and notebook_results.find(
        result.name, result.train, classes, result.thresholds
    )
    if notebook:
        values["notebook"] = {
            "accuracy": round(notebook.accuracy, 6),
            "errors": notebook.n_images - notebook.correct,
            "same": notebook.correct == len(actual) - scalars["errors"],
            "is_better": notebook.correct > len(actual) - scalars["errors"],
            "is_coarser": getattr(result.train, "tol", 1) < notebook_results.TOLERANCE,
        }
    if isinstance(result.decision, OneVsRest):
        values["yes_counts"] = yes_counts(result)
    if result.decision.uses_thresholds:
        values["histogram"] = _histogram(result)
        values["n_outside"] = story.n_outside(result)
    if len(result.thresholds) > 1:
        best, n_right = best_thresholds(result.scores[:, 0], actual, len(classes))
        values["best_thresholds"] = {"values": best, "n_right": n_right}
    if isinstance(result.decision, Probabilistic):
        log_probabilities = result.decision.log_probabilities(result.scores)
        values["calibration"] = _calibration(reliability(log_probabilities, actual)) | {
            "normalized": result.decision.is_normalised
        }
        values["log_loss"] = round(metrics.log_loss(log_probabilities, actual), 6)
    return values


def flips(result: Result) -> dict[str, Any] | None:
    """Count the answers that a small change of all pixels flips.

    Args:
        result: The variant.

    Returns:
        As `Flips` in page/payload.js; None if the page cannot run the model.
    """
    if not isinstance(result.model, LinearModel | lenet5.LeNet5):
        return None
    return {
        "images": len(result.flipped_at),
        "levels": list(LEVELS),
        "counts": [int((result.flipped_at <= level).sum()) for level in LEVELS],
        "is_bound": isinstance(result.model, lenet5.LeNet5),
    }


def yes_counts(result: Result) -> list[dict[str, int]]:
    """Count the test images by how many models of one-versus-rest say yes: 0, 1, more.

    A model says yes if its log-odds, the score, are above 0.

    Returns:
        Three counts: `images`, and how many of them are classified correctly, `correct`.
    """
    n_yes = np.minimum((result.scores > 0).sum(axis=1), 2)
    right = result.actual == result.predicted
    return [
        {"images": int((n_yes == n).sum()), "correct": int(right[n_yes == n].sum())}
        for n in range(3)
    ]


def _histogram(result: Result) -> dict[str, Any]:
    """Return the histogram of scores by actual class that `evaluate` draws as well."""
    found = metrics.score_histogram(
        result.scores[:, 0], result.indices[0], len(result.classes), result.thresholds
    )
    return {
        "low": float(found.edges[0]),
        "high": float(found.edges[-1]),
        "counts": found.counts.tolist(),
    }


def _calibration(found: Reliability) -> dict[str, Any]:
    """Return the bins of a reliability diagram that have images, and its error."""
    bins = [
        {
            "low": i / len(found.counts),
            "high": (i + 1) / len(found.counts),
            "images": n_images,
            "confidence": round(float(found.confidence[i]), 6),
            "accuracy": round(float(found.accuracy[i]), 6),
            "interval": [
                round(bound, 6)
                for bound in certainty.wilson(round(found.accuracy[i] * n_images), n_images)
            ],
        }
        for i, n_images in enumerate(found.counts.tolist())
        if n_images
    ]
    return {"bins": bins, "error": round(found.error, 6)}


def worst_first(result: Result) -> np.ndarray:
    """Return the misclassified test images, (n_errors,), the worst first.

    The worst is the one whose score would have to change most for a correct prediction.
    """
    actual, predicted = result.indices
    rows = np.flatnonzero(actual != predicted)
    size = result.decision.error_size(
        result.scores[rows], actual[rows], predicted[rows], result.thresholds
    )
    return rows[np.argsort(-size, kind="stable")]


def included_images(
    images: np.ndarray, misclassified: Sequence[np.ndarray], limit: int = IMAGE_BYTES
) -> np.ndarray:
    """Return the numbers of the test images that the page includes, ascending.

    If all of them take at most `limit` bytes when deflated, all. Otherwise the images that
    a variant misclassifies come first, the worst of each variant before the next ones, and
    then as many of the others as fit.

    Args:
        images: (n_samples, height, width) uint8.
        misclassified: For each variant its misclassified images, the worst first.
        limit: In bytes.
    """
    n_bytes = _deflated_bytes(images)
    if n_bytes <= limit:
        return np.arange(len(images))
    rank = np.full(len(images), len(images))
    for rows in misclassified:
        rank[rows] = np.minimum(rank[rows], np.arange(len(rows)))
    order = np.argsort(rank, kind="stable")
    n_included = int(len(images) * limit / n_bytes)
    while n_included and _deflated_bytes(images[np.sort(order[:n_included])]) > limit:
        n_included = n_included * 9 // 10
    return np.sort(order[:n_included])


def _deflated_bytes(images: np.ndarray) -> int:
    return len(packed_arrays.deflate(images.tobytes()))


def page_arrays(
    results: Sequence[Result], test: Split, n_classes: int
) -> dict[str, np.ndarray]:
    """Return the arrays that the page computes with.

    A variant's test images are those of its classes, in the order of `test`.

    Args:
        results: All variants.
        test: All test images.
        n_classes: Of the data set.
    """
    images, labels = test
    mistakes = [worst_first(result) for result in results]
    numbers = [np.flatnonzero(np.isin(labels, result.classes)) for result in results]
    misclassified = [own[rows] for own, rows in zip(numbers, mistakes, strict=True)]
    included = included_images(images, misclassified)
    arrays: dict[str, np.ndarray] = {
        "labels": labels.astype(np.uint8),
        "included_images": included.astype(np.uint32),
        "images": images[included],
        "averages": _averages(images[included], labels[included], n_classes),
    }
    for result, rows in zip(results, mistakes, strict=True):
        name = result.name
        arrays[f"{name}/mistakes"] = rows.astype(np.uint32)
        arrays[f"{name}/predicted"] = result.indices[1].astype(np.uint8)
        if result.model:
            for field, values in _model_arrays(result.model).items():
                arrays[f"{name}/{field}"] = values
        if isinstance(result.decision, Probabilistic):
            arrays[f"{name}/sureness"] = story.sureness(result)
        if result.decision.has_single_score:
            # In full precision, so that a threshold gives the same predictions as evaluate.
            arrays[f"{name}/scores"] = result.scores[:, 0].astype(np.float64)
    return arrays


def _averages(images: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the rounded average image of each class: (n_classes, height, width) uint8."""
    averages = np.zeros((n_classes, *images.shape[1:]), np.uint8)
    for label in np.unique(labels):  # of others, no image is included
        averages[label] = np.rint(images[labels == label].mean(axis=0))
    return averages


def _model_arrays(model: Model) -> dict[str, np.ndarray]:
    """Return the arrays in `MODEL_ARRAYS`; those of the scores in full precision."""
    names = MODEL_ARRAYS[model.model_type]
    if isinstance(model, lenet5.LeNet5):
        known = model.on_grids | {"kernels": model.kernels}
        return {name: _exact(known[name]) for name in names}
    drawn = ("mean", "scale")  # they are for the weights and the evidence alone
    arrays = {name: getattr(model, name) for name in names}
    return arrays | {name: arrays[name].astype(np.float32) for name in drawn}


def _exact(values: np.ndarray) -> np.ndarray:
    """Return float64 values as float32, unless one of them needs more bits."""
    with np.errstate(over="ignore"):
        smaller = values.astype(np.float32)
    return smaller if (smaller == values).all() else values


def image_format(*, centred: bool) -> dict[str, Any]:
    """Return the constants for converting a drawing to the format of the data."""
    return {
        "box": mnist_format.BOX,
        "ink": mnist_format.INK,
        "centre_offset": mnist_format.CENTRE_OFFSET,
        "half": mnist_format.HALF,
        "thin": lines.THIN,
        "slant": lines.SLANT,
        "large": lines.LARGE,
        "centred": centred,
    }
