"""Score one variant on its subset's test images.

reads   params.yaml: variants.<variant>.subset and .evaluate;
        data/models/<variant>.npz, data/subsets/<subset>/test/ and classes.json
writes  metrics/<variant>.json
        metrics/<variant>/confusion.csv, scores.csv, report.csv: the report per class
        metrics/<variant>/pictures/: these as PNG, and the threshold sweep of a two-class
            line, also as CSV
        data/predictions/<variant>.npz: scores, predicted, actual, parameters
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits import metrics, models
from digits.config import cli
from digits.config.params import Params
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.figures import plots
from digits.figures.labels import plot_labels
from digits.metrics import Distribution
from digits.models import Model

log = logging.getLogger(__name__)


def scalars(
    model: Model, scores: np.ndarray, actual: np.ndarray, counts: np.ndarray
) -> dict[str, float]:
    """Return the numbers that `dvc metrics diff` compares, rounded to six decimals.

    Raises `InputError` if it is declared of one neither that higher nor lower is better.
    """
    values = metrics.scalars(counts)
    if model.decision == "threshold":
        values["rmse"] = metrics.rmse(scores[:, 0], actual)
    elif model.decision in models.PROBABLE:
        log_probabilities = models.log_probabilities(scores, model.decision)
        values["log_loss"] = metrics.log_loss(log_probabilities, actual)
    unknown = ", ".join(values.keys() - metrics.METRICS.keys())
    if unknown:
        raise InputError(
            f"digits/metrics.py: does not say if higher or lower is better of {unknown}; "
            "add it to @gives at the function that computes it"
        )
    return {name: round(value, 6) for name, value in values.items()}


def score_distribution(
    scores: np.ndarray, actual: np.ndarray, n_classes: int, cuts: tuple[float, ...]
) -> Distribution:
    """Return the scores' distribution per class; of many scores, the margin's."""
    if scores.shape[1] == 1:
        return metrics.distribution(scores[:, 0], actual, n_classes, cuts or (0.0,))
    return metrics.distribution(metrics.margin(scores, actual), actual, n_classes, (0.0,))


def mismatch(
    model: Model, split: Split, names: Sequence[str], cuts: Sequence[float]
) -> str | None:
    """Return why the model can't be one of these images, names and thresholds, if so."""
    n_pixels = math.prod(split.images.shape[1:])
    if model.n_pixels != n_pixels:
        return f"it is for {model.n_pixels} pixels, the images have {n_pixels}"
    strange = np.setdiff1d(split.labels, model.classes)
    if len(strange):
        return (
            f"its classes are {model.classes.tolist()}, there are {strange.tolist()}, too"
        )
    if model.classes[-1] >= len(names):
        return f"its classes are {model.classes.tolist()}, there are {len(names)} names"
    needed = len(model.classes) - 1 if model.decision == "threshold" else 0
    if len(cuts) != needed:
        return f"it takes {needed} thresholds, there are {len(cuts)}"
    return None


def write_tables(
    folder: Path,
    counts: np.ndarray,
    spread: Distribution,
    classes: Sequence[str],
) -> None:
    """Write the confusion matrix, the scores' distribution and the report as CSV.

    classes: (n_classes,) their names
    """
    files.write_csv(
        folder / "confusion.csv",
        ("actual", "predicted", "count"),
        (
            (actual, predicted, counts[i, j])
            for i, actual in enumerate(classes)
            for j, predicted in enumerate(classes)
        ),
    )
    centres = (spread.edges[:-1] + spread.edges[1:]) / 2
    files.write_csv(
        folder / "scores.csv",
        ("kind", "class", "score", "count"),
        [
            ("images", name, float(centre), count)
            for name, row in zip(classes, spread.counts, strict=True)
            for centre, count in zip(centres, row, strict=True)
        ]
        + [
            ("threshold", name, float(threshold), "")
            for name in classes
            for threshold in spread.thresholds
        ],
    )
    report = metrics.report(counts)
    files.write_csv(
        folder / "report.csv",
        ("class", "precision", "recall", "f1", "support"),
        zip(
            classes,
            report.precision.tolist(),
            report.recall.tolist(),
            report.f1.tolist(),
            report.support.tolist(),
            strict=True,
        ),
    )


def main(params: Params, variant: str, root: Path) -> None:
    """Load, score, save."""
    chosen = params.variants[variant]
    cuts = chosen.evaluate.cuts
    path = root / "data/models" / f"{variant}.npz"
    model = models.load(path)
    made_with = chosen.text("subset", "train")
    models.check_parameters(path, model.parameters, made_with, f"train@{variant}")
    subset = root / "data/subsets" / chosen.subset
    split = dataset.load_split(subset / "test")
    names = dataset.load_names(subset)
    problem = mismatch(model, split, names, cuts)
    if problem:
        raise InputError(
            f"{path} does not belong to {subset}: {problem}. "
            f"`dvc repro evaluate@{variant}` makes both anew"
        )

    classes = [names[label] for label in model.classes]
    shown = [plot_labels(names)[label] for label in model.classes]
    actual = np.searchsorted(model.classes, split.labels)
    scores = model.scores(split.images)
    if not models.sound(scores):
        raise InputError(
            f"{path}: gives scores that are not finite; remove it, and `dvc repro` trains "
            f"it again. If they are so again, a parameter of variants.{variant}.train is "
            "too large or too small"
        )
    predicted = models.decide(scores, model.decision, cuts)
    counts = metrics.confusion(actual, predicted, len(classes))
    spread = score_distribution(scores, actual, len(classes), cuts)

    values = scalars(model, scores, actual, counts)
    files.write_json(root / "metrics" / f"{variant}.json", values)
    folder = root / "metrics" / variant
    write_tables(folder, counts, spread, classes)
    pictures = folder / "pictures"
    plots.confusion(pictures / "confusion.png", counts, shown, variant)
    plots.scores(
        pictures / "scores.png",
        spread.edges,
        spread.counts,
        spread.thresholds,
        classes=shown,
        variant=variant,
        of_margin=scores.shape[1] > 1,
    )
    if model.decision == "threshold" and len(classes) == 2:  # noqa: PLR2004
        sweep = metrics.threshold_sweep(scores[:, 0], actual)
        files.write_csv(
            pictures / "thresholds.csv",
            ("threshold", "measure", "value"),
            (
                (row[0], measure, value)
                for row in sweep.tolist()
                for measure, value in zip(metrics.SWEPT, row[1:], strict=True)
            ),
        )
        plots.threshold_sweep(pictures / "thresholds.png", sweep, cuts[0], variant)
    files.write_npz(
        root / "data/predictions" / f"{variant}.npz",
        scores=scores,
        predicted=model.classes[predicted],
        actual=split.labels,
        parameters=chosen.text("subset", "train", "evaluate"),
    )
    log.info("%s: %d of %d right", variant, np.trace(counts), counts.sum())


if __name__ == "__main__":
    cli.run(main, __doc__, of="variant", uses=("subset", "evaluate"))
