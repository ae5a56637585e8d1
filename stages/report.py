"""Put the results of all variants on one interactive page.

reads   params.yaml: all of it; dvc.yaml: the graph
        metrics/dataset/summary.json, data/raw/,
        data/models/<variant>.npz, data/predictions/<variant>.npz,
        data/paths/<subset>.npz
        digits/report/page/: the page's templates, style sheet and scripts
writes  report/index.html
"""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from digits import robustness
from digits.config import cli
from digits.config.params import Params
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.models import serialization
from digits.report import content, graph, render
from digits.report.regularisation import RegularisationPath
from digits.report.result import Result
from digits.robustness.levels import LEVELS, NEVER

log = logging.getLogger(__name__)


def load_predictions(
    path: Path, model: serialization.Header, labels: np.ndarray, parameters: str
) -> dict[str, np.ndarray]:
    """Read the predictions that `evaluate` wrote.

    Args:
        path: The file.
        model: The header of the variant's model.
        labels: (n_samples,) labels of all test images.
        parameters: The variant's parameters, as `Variant.text` returns them.

    Returns:
        `scores` (n_samples, n_outputs), `predicted` and `actual` (n_samples,), of the test
        images of the model's classes, and `flipped_at` (n_tried,) of the first of them.

    Raises:
        InputError: The file is missing or damaged, or was made from other images or with
            other parameters.
    """
    names = ("scores", "predicted", "actual", "flipped_at", "parameters")
    try:
        arrays = files.read_npz(path, names)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); `dvc repro` writes it again"
        ) from error
    made_with = str(arrays.pop("parameters"))
    serialization.check_parameters(path, made_with, parameters, f"evaluate@{path.stem}")
    actual = labels[np.isin(labels, model.classes)]
    n_outputs = model.decision.n_outputs(len(model.classes))
    scores, predicted, flipped_at = (
        arrays[name] for name in ("scores", "predicted", "flipped_at")
    )
    sound = (
        scores.dtype == np.float64
        and scores.shape == (len(actual), n_outputs)
        and arrays["actual"].dtype == predicted.dtype == np.uint8
        and predicted.shape == actual.shape
        and np.array_equal(arrays["actual"], actual)
        and np.isfinite(scores).all()
        and np.isin(predicted, model.classes).all()
        and flipped_at.dtype == np.int16
        and flipped_at.shape
        == (robustness.n_tried(model.model_type, model.preprocess, len(actual)),)
        and np.isin(flipped_at, (*LEVELS, NEVER)).all()
    )
    if not sound:
        raise InputError(
            f"{path}: does not match its model and the test images in data/raw; "
            "`dvc repro` writes it again"
        )
    return arrays


def load_results(params: Params, test: Split, root: Path) -> list[Result]:
    """Read the model and the predictions of every variant in params.yaml.

    Args:
        params: All parameters.
        test: All test images.
        root: The project's folder.

    Raises:
        InputError: A model or predictions are missing, damaged, or made with other
            parameters or images.
    """
    results = []
    for name, variant in params.variants.items():
        path = root / "data/models" / f"{name}.npz"
        predictions = root / "data/predictions" / f"{name}.npz"
        parameters = variant.text("subset", "train", "evaluate")
        header = serialization.read_header(path)
        made_with = variant.text("subset", "train")
        serialization.check_parameters(path, header.parameters, made_with, f"train@{name}")
        runnable = header.model_type in content.MODEL_ARRAYS and header.preprocess == "none"
        model = serialization.load(path) if runnable else None
        if model and model.n_pixels != math.prod(test.images.shape[1:]):
            raise InputError(
                f"{path}: is for images of {model.n_pixels} pixels, but those in data/raw "
                f"have the shape {test.images.shape[1:]}; `dvc repro` trains it again"
            )
        results.append(
            Result(
                name=name,
                subset=variant.subset,
                train=variant.train,
                thresholds=variant.evaluate.all_thresholds,
                classes=header.classes,
                decision=header.decision,
                model=model,
                **load_predictions(predictions, header, test.labels, parameters),
            )
        )
    return results


def load_paths(params: Params, test: Split, root: Path) -> dict[str, RegularisationPath]:
    """Read the regularisation path of each subset; those without values are left out.

    Args:
        params: All parameters.
        test: All test images.
        root: The project's folder.

    Raises:
        InputError: A file is missing or damaged, or was made from other images.
    """
    n_pixels, paths = math.prod(test.images.shape[1:]), {}
    folder = root / "data/paths"
    for subset in params.subsets if folder.is_dir() else ():  # published/ has none
        path = folder / f"{subset}.npz"
        found = RegularisationPath.load(path)
        n_test = np.isin(test.labels, found.classes).sum()
        if found.weights.shape[2] != n_pixels or found.sizes[2] != n_test:
            raise files.unusable(path, "is not of the images in data/raw")
        if len(found.C) > 1:
            paths[subset] = found
    return paths


def flat(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each parameter with its full name, as `dvc params diff` prints it."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        elif value is not None:
            yield f"{path}{key}", list(value) if isinstance(value, tuple) else value


def all_parameters(params: Params) -> list[tuple[str, Any]]:
    """Return the name and the value of every parameter."""
    blocks = {
        "dataset": params.dataset.model_dump(),
        "subsets": {name: block.model_dump() for name, block in params.subsets.items()},
        "variants": {name: block.model_dump() for name, block in params.variants.items()},
    }
    return list(flat(blocks))


def main(params: Params, root: Path) -> None:
    """Load, compute the content, render."""
    raw = dataset.load(root / "data/raw")
    summary = files.read_json(root / "metrics/dataset/summary.json")
    results = load_results(params, raw.test, root)
    described = {
        "name": params.dataset.name,
        "source": params.dataset.source,
        "mnist_like": params.dataset.mnist_like,
        "title": summary["title"],
        "names": list(raw.names),
        "n_train": len(raw.train.labels),
        "train_counts": np.bincount(raw.train.labels, minlength=len(raw.names)).tolist(),
    }
    paths = load_paths(params, raw.test, root)
    payload, packed_arrays = content.payload(results, raw.test, described, paths)
    page = render.render(
        {
            "payload": payload,
            "packed_arrays": packed_arrays,
            "sha256": summary["sha256"],
            "parameters": all_parameters(params),
            "stages": graph.nodes(root / "dvc.yaml"),
        }
    )
    path = root / "report/index.html"
    with files.replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    log.info("report/index.html: %.1f MB, %d variants", len(page) / 1e6, len(results))


if __name__ == "__main__":
    cli.run(main, __doc__, uses=("dataset", "subsets", "variants"))
