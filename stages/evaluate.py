"""Evaluate one variant on the test images of its subset.

reads   params.yaml: variants.<variant>.subset and .evaluate;
        data/models/<variant>.npz, data/subsets/<subset>/test/ and classes.json
writes  metrics/<variant>.json
        metrics/<variant>/confusion.csv, scores.csv, and report.csv with a row per class
        metrics/<variant>/mistakes.csv with a row per misclassified test image
        metrics/<variant>/figures/: plots of these; of a linear regression on two classes
            also the threshold sweep, as PNG and CSV
        data/predictions/<variant>.npz: scores, predicted, actual, parameters, and
        flipped_at: how small a change of all pixels flips the answer for each image
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from digits import metrics, robustness
from digits.config import cli
from digits.config.params import Params, Variant
from digits.data import dataset, files
from digits.data.dataset import Split
from digits.errors import InputError
from digits.metrics import ScoreHistogram
from digits.models import serialization
from digits.models.base import Model, are_finite
from digits.models.decision import Decision, Probabilistic

log = logging.getLogger(__name__)


def scalars(
    decision: Decision, scores: np.ndarray, actual: np.ndarray, counts: np.ndarray
) -> dict[str, float]:
    """Return the metrics that `dvc metrics diff` compares, rounded to six decimals.

    Args:
        decision: how scores become a class.
        scores: (n_samples, n_outputs).
        actual: (n_samples,) class indices.
        counts: (n_classes, n_classes) confusion matrix.

    Raises:
        InputError: A metric has no direction.
    """
    values = metrics.scalars(counts)
    if decision.uses_thresholds:
        values["rmse"] = metrics.rmse(scores[:, 0], actual)
    if isinstance(decision, Probabilistic):
        values["log_loss"] = metrics.log_loss(decision.log_probabilities(scores), actual)
    undeclared = ", ".join(values.keys() - metrics.METRICS.keys())
    if undeclared:
        raise InputError(
            f"digits/metrics.py: does not say if higher or lower is better of {undeclared};"
            " add it to @directions at the function that computes it"
        )
    return {name: round(value, 6) for name, value in values.items()}


def score_histogram(
    decision: Decision,
    scores: np.ndarray,
    actual: np.ndarray,
    n_classes: int,
    thresholds: tuple[float, ...],
) -> ScoreHistogram:
    """Return the histogram of the single score, or of the margin of several scores.

    Args:
        decision: how scores become a class.
        scores: (n_samples, n_outputs).
        actual: (n_samples,) class indices.
        n_classes: the number of classes.
        thresholds: (n_thresholds,) of the decision; without any it changes at 0.
    """
    single = decision.has_single_score
    values = scores[:, 0] if single else metrics.margin(scores, actual)
    return metrics.score_histogram(values, actual, n_classes, thresholds or (0.0,))


def drawn_histogram(
    scores: np.ndarray, actual: np.ndarray, n_classes: int
) -> ScoreHistogram:
    """Return the histogram of the margin of several scores that shows the mistakes.

    A good model's mistakes are all outside the central 99 % of the margins. These bins span
    19 of 20 mistakes as well.

    Args:
        scores: (n_samples, n_outputs).
        actual: (n_samples,) class indices.
        n_classes: the number of classes.
    """
    margins = metrics.margin(scores, actual)
    wrong = np.sort(margins[margins < 0])
    least = float(wrong[len(wrong) // 20]) if len(wrong) else 0.0
    histogram = metrics.score_histogram(margins, actual, n_classes, (least, 0.0))
    return replace(histogram, thresholds=np.zeros(1))


def mismatch(
    model: Model, split: Split, names: Sequence[str], thresholds: Sequence[float]
) -> str | None:
    """Return why the model does not fit the images, names or thresholds, None if it does.

    Args:
        model: the fitted model.
        split: the test images.
        names: of all classes of the data, by label.
        thresholds: of the variant.
    """
    n_pixels = math.prod(split.images.shape[1:])
    if model.n_pixels != n_pixels:
        return f"it is for {model.n_pixels} pixels, the images have {n_pixels}"
    unknown = sorted({*dataset.labels_in(split.labels)} - {*model.classes.tolist()})
    if unknown:
        return f"its classes are {model.classes.tolist()}, the images' {unknown}"
    if model.classes[-1] >= len(names):
        return f"its classes are {model.classes.tolist()}, there are {len(names)} names"
    needed = model.decision.n_thresholds(len(model.classes))
    if len(thresholds) != needed:
        return f"it takes {needed} thresholds, there are {len(thresholds)}"
    return None


def write_tables(
    folder: Path, counts: np.ndarray, histogram: ScoreHistogram, names: Sequence[str]
) -> None:
    """Write the confusion matrix, the histogram and the report per class as CSV.

    Args:
        folder: of the variant's metrics.
        counts: (n_classes, n_classes) confusion matrix.
        histogram: of the scores.
        names: (n_classes,) of the classes.
    """
    files.write_csv(
        folder / "confusion.csv",
        ("actual", "predicted", "count"),
        (
            (actual, predicted, counts[i, j])
            for i, actual in enumerate(names)
            for j, predicted in enumerate(names)
        ),
    )
    centres = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    files.write_csv(
        folder / "scores.csv",
        ("kind", "class", "score", "count"),
        [
            ("images", name, float(centre), count)
            for name, row in zip(names, histogram.counts, strict=True)
            for centre, count in zip(centres, row, strict=True)
        ]
        + [
            ("threshold", name, float(threshold), "")
            for name in names
            for threshold in histogram.thresholds
        ],
    )
    report = metrics.report(counts)
    files.write_csv(
        folder / "report.csv",
        ("class", "precision", "recall", "f1", "support"),
        zip(
            names,
            report.precision.tolist(),
            report.recall.tolist(),
            report.f1.tolist(),
            report.support.tolist(),
            strict=True,
        ),
    )


def write_mistakes(
    path: Path, actual: np.ndarray, predicted: np.ndarray, names: Sequence[str]
) -> None:
    """Write the misclassified images as CSV, by which two variants can be compared.

    Args:
        path: of the file.
        actual: (n_samples,) class indices.
        predicted: (n_samples,) class indices.
        names: (n_classes,) of the classes.
    """
    wrong = np.flatnonzero(actual != predicted).tolist()
    files.write_csv(
        path,
        ("image", "actual", "predicted"),
        ((image, names[actual[image]], names[predicted[image]]) for image in wrong),
    )


def write_figures(
    folder: Path,
    counts: np.ndarray,
    histogram: ScoreHistogram,
    *,
    classes: Sequence[str],
    variant: str,
    of_margin: bool,
) -> None:
    """Plot the confusion matrix and the histogram.

    Args:
        folder: of the figures.
        counts: (n_classes, n_classes) confusion matrix.
        histogram: of the scores.
        classes: (n_classes,) the names of the classes, as they can be drawn.
        variant: its name.
        of_margin: whether the histogram is one of margins.
    """
    from digits.figures import plots  # noqa: PLC0415 (slow to import)

    plots.confusion(folder / "confusion.png", counts, classes, variant)
    plots.scores(
        folder / "scores.png",
        histogram.edges,
        histogram.counts,
        histogram.thresholds,
        classes=classes,
        variant=variant,
        of_margin=of_margin,
    )


def write_threshold_sweep(
    folder: Path, scores: np.ndarray, actual: np.ndarray, threshold: float, variant: str
) -> None:
    """Write the metrics at each threshold as CSV, and plot them.

    Args:
        folder: of the figures.
        scores: (n_samples, 1).
        actual: (n_samples,) 0 or 1.
        threshold: the one in use.
        variant: its name.
    """
    from digits.figures import plots  # noqa: PLC0415 (slow to import)

    sweep = metrics.threshold_sweep(scores[:, 0], actual)
    files.write_csv(
        folder / "thresholds.csv",
        ("threshold", "measure", "value"),
        (
            (row[0], measure, value)
            for row in sweep.tolist()
            for measure, value in zip(metrics.SWEEP_METRICS, row[1:], strict=True)
        ),
    )
    plots.threshold_sweep(folder / "thresholds.png", sweep, threshold, variant)


def load_inputs(
    variant: str, chosen: Variant, root: Path
) -> tuple[Model, Split, tuple[str, ...]]:
    """Load the model of a variant and the test images of its subset.

    Args:
        variant: its name.
        chosen: its block in params.yaml.
        root: of the project.

    Returns:
        model: the fitted model.
        split: the test images and their labels.
        names: of all classes of the data, by label.

    Raises:
        InputError: One of them is missing or damaged, or they do not fit each other.
    """
    path = root / "data/models" / f"{variant}.npz"
    model = serialization.load(path)
    expected = chosen.text("subset", "train")
    serialization.check_parameters(path, model.parameters, expected, f"train@{variant}")
    subset = root / "data/subsets" / chosen.subset
    split = dataset.load_split(subset / "test")
    names = dataset.load_names(subset)
    problem = mismatch(model, split, names, chosen.evaluate.all_thresholds)
    if problem:
        raise InputError(
            f"{path} does not belong to {subset}: {problem}. "
            f"Run `dvc repro evaluate@{variant}` to make both again"
        )
    return model, split, names


def main(params: Params, variant: str, root: Path) -> None:
    """Load the model and the images, predict, write metrics, tables and figures.

    The line with the result comes before matplotlib is imported.
    """
    chosen = params.variants[variant]
    model, split, names = load_inputs(variant, chosen, root)
    decision, thresholds = model.decision, chosen.evaluate.all_thresholds
    scores = model.scores(split.images)
    if not are_finite(scores):
        raise InputError(
            f"data/models/{variant}.npz: its scores are not finite. Remove the file, and "
            "`dvc repro` trains the model again. If that does not help, a parameter of "
            f"variants.{variant}.train is too large or too small"
        )
    predicted = decision.predict(scores, thresholds)
    actual = np.searchsorted(model.classes, split.labels)
    counts = metrics.confusion(actual, predicted, len(model.classes))
    log.info("%s: %d of %d right", variant, np.trace(counts), counts.sum())
    histogram = score_histogram(decision, scores, actual, len(model.classes), thresholds)

    folder = root / "metrics" / variant
    figures = folder / "figures"
    files.write_json(
        root / "metrics" / f"{variant}.json", scalars(decision, scores, actual, counts)
    )
    of_classes = [names[label] for label in model.classes]
    write_tables(folder, counts, histogram, of_classes)
    write_mistakes(folder / "mistakes.csv", actual, predicted, of_classes)
    if not decision.has_single_score:
        histogram = drawn_histogram(scores, actual, len(model.classes))
    from digits.figures.labels import plot_labels  # noqa: PLC0415 (slow to import)

    write_figures(
        figures,
        counts,
        histogram,
        classes=[plot_labels(names)[label] for label in model.classes],
        variant=variant,
        of_margin=not decision.has_single_score,
    )
    if len(thresholds) == 1:
        write_threshold_sweep(figures, scores, actual, thresholds[0], variant)
    files.write_npz(
        root / "data/predictions" / f"{variant}.npz",
        scores=scores,
        predicted=model.classes[predicted],
        actual=split.labels,
        flipped_at=robustness.smallest_levels(model, split.images, thresholds),
        parameters=chosen.text("subset", "train", "evaluate"),
    )


if __name__ == "__main__":
    cli.run(main, __doc__, of="variant", uses=("subset", "evaluate"))
