"""Figures of results: confusion matrix, score distributions, threshold sweep.

Each function writes one PNG. The colours are sequential or differ much in lightness, so
that they can be distinguished without colour vision.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from digits.figures import FEW_CLASSES
from digits.figures.canvas import Canvas, ticks
from digits.figures.labels import label_width

# Okabe and Ito's palette, and greys.
BLUE, ORANGE, GREY, LIGHT = "#0072b2", "#d55e00", "#555555", "#999999"
# From 0 to 1: ColorBrewer's sequential palette "Blues" of nine colours.
BLUES = np.array(
    [
        [*bytes.fromhex(colour)]
        for colour in (
            *("f7fbff", "deebf7", "c6dbef", "9ecae1", "6baed6", "4292c6"),
            *("2171b5", "08519c", "08306b"),
        )
    ]
)
TICK = 5  # pixels


def confusion(path: Path, counts: np.ndarray, classes: Sequence[str], variant: str) -> None:
    """Draw a confusion matrix: the count in each cell, shaded by its share of the row.

    Args:
        path: The PNG file to write.
        counts: (n_classes, n_classes) images, actual class by predicted class.
        classes: (n_classes,) the label of each class, see `plot_labels`.
        variant: The title.
    """
    n_classes = len(classes)
    few, more = n_classes <= FEW_CLASSES, label_width(classes)
    cell = 50 if few else 27
    side = cell * n_classes
    canvas = Canvas(max(side + 190 + more, 320), max(side + 110 + more, 240))
    left, bottom = round(70 + more), canvas.image.height - round(65 + more)
    right, top = left + side, bottom - side
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    canvas.pixels((left, top, right, bottom), _blues(shares))
    for (row, column), count in np.ndenumerate(counts):
        if not few and not count:
            continue  # ten thousand zeros hide the rest
        colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004
        canvas.text(
            left + cell * (column + 0.5),
            top + cell * (row + 0.5),
            str(count),
            points=9 if few else 6,
            colour=colour if count else LIGHT,
        )
    _frame(canvas, left, top, right, bottom)
    size = 10 if few else 8
    for i, label in enumerate(classes):
        x, y = left + cell * (i + 0.5), top + cell * (i + 0.5)
        canvas.rectangle((x, bottom, x + 1, bottom + TICK), "black")
        canvas.rectangle((left - TICK, y, left, y + 1), "black")
        anchor = "rm" if more else "ma"
        canvas.text(x, bottom + 8, label, points=size, anchor=anchor, turned=more > 0)
        canvas.text(left - 8, y, label, points=size, anchor="rm")
    canvas.text((left + right) / 2, bottom + 35 + more, "predicted class")
    canvas.text(left - 32 - more, (top + bottom) / 2, "actual class", turned=True)
    canvas.text((left + right) / 2, top - 9, variant, points=12, anchor="ms")
    _colour_bar(canvas, right + 20, bottom, min(side, 300))
    canvas.save(path)


def scores(
    path: Path,
    edges: np.ndarray,
    counts: np.ndarray,
    thresholds: np.ndarray,
    *,
    classes: Sequence[str],
    variant: str,
    of_margin: bool,
) -> None:
    """Draw a histogram of the scores of each class's images, with the thresholds.

    Args:
        path: The PNG file to write.
        edges: (n_bins + 1,) bounds of the bins.
        counts: (n_classes, n_bins) images.
        thresholds: (n_thresholds,) where the decision changes.
        classes: (n_classes,) the label of each class, see `plot_labels`.
        variant: The name in the title.
        of_margin: Whether the scores are margins: the actual class's score minus the
            highest other one.
    """
    n_classes, more = len(classes), label_width(classes)
    few = n_classes <= FEW_CLASSES
    high, thick = (55, 2) if few else (25, 1)
    left, top, bottom = round(50 + more), 40, 40 + high * n_classes
    canvas = Canvas(left + 650, bottom + 85)
    right = left + 630
    x = _scale(edges[0], edges[-1], left, right)
    for i, (label, row) in enumerate(zip(classes, counts, strict=True)):
        floor = top + high * (i + 1)
        heights = 0.85 * high * row / max(row.max(), 1)
        for low, up, height in zip(edges[:-1], edges[1:], heights, strict=True):
            canvas.rectangle((x(low), floor - height, x(up), floor), BLUE)
        canvas.rectangle((left, floor, right, floor + 1), GREY)
        for threshold in thresholds:
            at = x(threshold) - thick / 2
            for y in np.arange(floor, floor - 0.9 * high, -9):
                end = max(y - 6, floor - 0.9 * high)
                canvas.rectangle((at, end, at + thick, y), ORANGE)
        canvas.text(left - 8, floor - 0.35 * high, label, anchor="rm")
    _bottom_axis(canvas, x, edges[0], edges[-1], bottom)
    middle = (left + right) / 2
    title = f"{variant}: scores of the test images, by actual class"
    canvas.text(middle, top - 9, title, points=12, anchor="ms")
    what = (
        "margin: the actual class's score minus the best other's; right of 0 is correct"
        if of_margin
        else "score; the dashed lines are the thresholds"
    )
    scaled = "(each row has its own scale; the outermost bars count all scores beyond)"
    canvas.text(middle, bottom + 37, what)
    canvas.text(middle, bottom + 54, scaled)
    canvas.save(path)


def threshold_sweep(path: Path, sweep: np.ndarray, threshold: float, variant: str) -> None:
    """Draw accuracy, precision and recall against the threshold.

    Args:
        path: The PNG file to write.
        sweep: (n_thresholds, 4) as `metrics.threshold_sweep` returns it.
        threshold: The threshold in use.
        variant: The name in the title.
    """
    canvas = Canvas(700, 380)
    left, top, right, bottom = 70, 40, 680, 320
    low, high = _widened(sweep[:, 0].min(), sweep[:, 0].max())
    lowest, highest = _widened(sweep[:, 1:].min(), sweep[:, 1:].max())
    x, y = _scale(low, high, left, right), _scale(lowest, highest, bottom, top)
    at = round(min(max(x(threshold), left), right))
    canvas.rectangle((at, top, at + 1, bottom), "black")
    canvas.text(at + 6, bottom - 9, f"in use: {threshold:g}", anchor="ls")
    for column, (label, colour, dashes) in enumerate(
        [("accuracy", BLUE, ()), ("precision", ORANGE, (8, 3)), ("recall", GREY, (2, 3))], 1
    ):
        line = np.column_stack([x(sweep[:, 0]), y(sweep[:, column])])
        canvas.curve(line, colour, 2, dashes)
        height = bottom - 107 + 21 * column
        canvas.curve(np.array([(174, height), (202, height)]), colour, 2, dashes)
        canvas.text(213, height, label, anchor="lm")
    for value, label in ticks(lowest, highest, 6):
        canvas.rectangle((left - TICK, y(value), left, y(value) + 1), "black")
        canvas.text(left - 8, y(value), label, anchor="rm")
    _bottom_axis(canvas, x, low, high, bottom)
    canvas.text((left + right) / 2, bottom + 35, "threshold")
    canvas.text(24, (top + bottom) / 2, "share", turned=True)
    title = f"{variant}: effect of the threshold"
    canvas.text((left + right) / 2, top - 9, title, points=12, anchor="ms")
    canvas.save(path)


def _scale(low: float, high: float, start: float, end: float) -> Callable[..., float]:
    """Return the linear map of `low` to `start` and `high` to `end`."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return bounds with a margin around them."""
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _blues(shares: np.ndarray) -> np.ndarray:
    """Return the colours of shares from 0 to 1, with red, green and blue as last axis."""
    at, palette = shares * (len(BLUES) - 1), np.arange(len(BLUES))
    return np.rint(np.stack([np.interp(at, palette, c) for c in BLUES.T], axis=-1))


def _frame(canvas: Canvas, left: int, top: int, right: int, bottom: int) -> None:
    """Draw the outline of a rectangle, a pixel wide."""
    for box in (
        (left, top, right + 1, top + 1),
        (left, bottom, right + 1, bottom + 1),
        (left, top, left + 1, bottom + 1),
        (right, top, right + 1, bottom + 1),
    ):
        canvas.rectangle(box, "black")


def _bottom_axis(
    canvas: Canvas, x: Callable[..., float], low: float, high: float, y: int
) -> None:
    """Draw the axis of what the map `x` shows between two bounds, at the height `y`."""
    canvas.rectangle((x(low), y, x(high), y + 1), "black")
    for value, label in ticks(low, high):
        canvas.rectangle((x(value), y, x(value) + 1, y + TICK), "black")
        canvas.text(x(value), y + 8, label, anchor="ma")


def _colour_bar(canvas: Canvas, left: int, bottom: int, high: int) -> None:
    """Draw the colours of the shares from 0 to 1, upwards."""
    right = left + 18
    shares = np.linspace(1, 0, high)[:, None]
    canvas.pixels((left, bottom - high, right, bottom), _blues(shares))
    for share in (0, 0.5, 1):
        y = bottom - share * high
        canvas.rectangle((right, y, right + TICK, y + 1), "black")
        canvas.text(right + 8, y, f"{share:.1f}", anchor="lm")
    canvas.text(right + 45, bottom - high / 2, "share of the row", turned=True)
