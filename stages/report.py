"""Put all variants on one page, to look at and to try.

reads   params.yaml: all of it; dvc.yaml: the graph
        metrics/dataset/summary.json, data/raw/,
        data/models/<variant>.npz, data/predictions/<variant>.npz
        digits/report/page/: the page's template, style and scripts
writes  report/index.html
"""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from digits.config import cli
from digits.config.params import Params
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.models import serialization
from digits.report import arrays, content, graph, render
from digits.report.content import Result

log = logging.getLogger(__name__)

PAGE = Path("digits/report/page")


def load_predictions(
    path: Path, model: serialization.Header, labels: np.ndarray, parameters: str
) -> dict[str, np.ndarray]:
    """Read what `evaluate` wrote of a model.

    labels: those of all test images
    parameters: those of the variant, see `Variant.text`

    Raises `InputError` if it is missing or damaged, or of other images or parameters.
    """
    names = ("scores", "predicted", "actual", "parameters")
    try:
        held = files.read_npz(path, names)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); `dvc repro` writes it anew"
        ) from error
    made_with = str(held.pop("parameters"))
    serialization.check_parameters(path, made_with, parameters, f"evaluate@{path.stem}")
    actual = labels[np.isin(labels, model.classes)]
    n_outputs = model.decision.n_outputs(len(model.classes))
    scores, predicted = held["scores"], held["predicted"]
    sound = (
        scores.dtype == np.float64
        and scores.shape == (len(actual), n_outputs)
        and held["actual"].dtype == predicted.dtype == np.uint8
        and predicted.shape == actual.shape
        and np.array_equal(held["actual"], actual)
        and np.isfinite(scores).all()
        and np.isin(predicted, model.classes).all()
    )
    if not sound:
        raise InputError(
            f"{path}: is not what its model makes of the images in data/raw; "
            "`dvc repro` writes it anew"
        )
    return held


def load_results(params: Params, test: Split, root: Path) -> list[Result]:
    """Read the model and the predictions of every variant in params.yaml.

    test: all test images
    """
    results = []
    for name, variant in params.variants.items():
        path = root / "data/models" / f"{name}.npz"
        predictions = root / "data/predictions" / f"{name}.npz"
        parameters = variant.text("subset", "train", "evaluate")
        known = serialization.read_header(path)
        made_with = variant.text("subset", "train")
        serialization.check_parameters(path, known.parameters, made_with, f"train@{name}")
        asked = known.model_type in content.ARRAYS and known.preprocess == "none"
        model = serialization.load(path) if asked else None
        if model and model.n_pixels != math.prod(test.images.shape[1:]):
            raise InputError(
                f"{path}: is for images of {model.n_pixels} pixels, those in data/raw "
                f"are {test.images.shape[1:]}; `dvc repro` trains it anew"
            )
        results.append(
            Result(
                name=name,
                subset=variant.subset,
                train=variant.train,
                thresholds=variant.evaluate.all_thresholds,
                classes=known.classes,
                decision=known.decision,
                model=model,
                **load_predictions(predictions, known, test.labels, parameters),
            )
        )
    return results


def flat(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each parameter with its full name, as `dvc params diff` has it."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        elif value is not None:
            yield f"{path}{key}", list(value) if isinstance(value, tuple) else value


def all_parameters(params: Params) -> list[tuple[str, Any]]:
    """Return every parameter of the run: its name and its value."""
    blocks = {
        "dataset": params.dataset.model_dump(),
        "subsets": {name: block.model_dump() for name, block in params.subsets.items()},
        "variants": {name: block.model_dump() for name, block in params.variants.items()},
    }
    return list(flat(blocks))


def main(params: Params, root: Path) -> None:
    """Load, gather, render."""
    raw = dataset.load(root / "data/raw")
    told = files.read_json(root / "metrics/dataset/summary.json")
    results = load_results(params, raw.test, root)
    name = params.dataset.name
    held = content.packed(results, *raw.test)
    block = arrays.pack(held)
    height, width = raw.test.images.shape[1:]
    page = render.render(
        PAGE,
        {
            "variants": [
                content.variant(result, is_mnist=name == "mnist") for result in results
            ],
            "dataset": {
                "name": name,
                "title": told["title"],
                "names": list(raw.names),
                "noun": "digit" if name == "mnist" else "class",
                "source": params.dataset.source,
                "height": height,
                "width": width,
                "n_train": len(raw.train.labels),
                "n_test": len(raw.test.labels),
                "n_kept": len(held["kept"]),
            },
            "form": content.form(name),
            "arrays": content.ARRAYS,
            "layout": block.layout,
            "block": block.text,
            "sha256": told["sha256"],
            "parameters": all_parameters(params),
            "stages": graph.nodes(root / "dvc.yaml"),
        },
    )
    path = root / "report/index.html"
    with files.replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    log.info("report/index.html: %.1f MB, %d variants", len(page) / 1e6, len(results))


if __name__ == "__main__":
    cli.run(main, __doc__, uses=("dataset", "subsets", "variants"))
