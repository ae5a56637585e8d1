"""Figures of results: confusion matrix, score distributions, threshold sweep.

Each function writes one PNG. As on the report page, blue is correct and orange is wrong:
they can be distinguished with every kind of colour vision.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from digits.data.files import write_png
from digits.figures import FEW_CLASSES
from digits.figures.canvas import Axes, Figure, LinearSegmentedColormap, Rectangle
from digits.figures.labels import label_width

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#555555"  # Okabe and Ito's palette, and grey
# Those of the page's style sheet, and the power of a share that gives the depth of colour
CORRECT, WRONG, POWER = "#5896da", "#ee9642", 0.4
SHARES = (0.01, 0.1, 0.4, 1)  # that the colour scale names
HIGHEST = 0.95  # of a row of scores, as a share of the row's distance from the next
# Shares near 1 are drawn further apart: this is added to the distance from 1.
NEAREST = 0.0005
SWEEP_TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)


def confusion(path: Path, counts: np.ndarray, classes: Sequence[str], variant: str) -> None:
    """Draw a confusion matrix: the count in each cell, shaded by its share of the row.

    Correct cells are blue, the others orange. The depth is a power below 1 of the share, so
    that rare mistakes are visible.

    Args:
        path: The PNG file to write.
        counts: (n_classes, n_classes) images, actual class by predicted class.
        classes: (n_classes,) the label of each class, see `plot_labels`.
        variant: The title.
    """
    n_classes = len(classes)
    few, more = n_classes <= FEW_CLASSES, label_width(classes)
    side = (0.5 if few else 0.27) * n_classes
    figure = Figure(figsize=(max(side + 1.9 + more, 3.2), max(side + 1.1 + more, 2.4)))
    axes = add_axes(figure, left=0.7 + more, bottom=0.65 + more, width=side, height=side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    depths = np.round(shares**POWER, 4)  # without the last bits
    signed = np.where(np.eye(n_classes, dtype=bool), depths, -depths)
    colours = LinearSegmentedColormap.from_list("shares", [WRONG, "white", CORRECT])
    image = axes.imshow(signed, cmap=colours, vmin=-1, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if not few and not count:
            continue  # ten thousand zeros hide the rest, and take a minute to draw
        axes.text(
            column,
            row,
            str(count),
            ha="center",
            va="center",
            color="black" if count else "#999999",
            fontsize=9 if few else 6,
        )
    size = None if few else 8
    turned = 90 if more else 0
    axes.set_xticks(range(n_classes), classes, rotation=turned, fontsize=size)
    axes.set_yticks(range(n_classes), classes, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="actual class", title=variant)
    bar_axes = add_axes(
        figure, left=0.9 + more + side, bottom=0.65 + more, width=0.18, height=min(side, 3)
    )
    label = "share of the row: wrong, correct"
    bar = figure.colorbar(image, cax=bar_axes, label=label)
    shown = (*(-share for share in reversed(SHARES)), 0, *SHARES)
    bar.set_ticks(
        [np.copysign(abs(share) ** POWER, share) for share in shown],
        labels=[f"{abs(share):.0%}" for share in shown],
        fontsize=8,
    )
    bar.outline.set_visible(False)
    write_png(path, figure)


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

    Each row has the same area, and is blue where the prediction is correct. The outermost
    bars, which may be higher than all others, are cut off at their height.

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
    high = (0.55 if n_classes <= FEW_CLASSES else 0.25) * n_classes
    figure = Figure(figsize=(7 + more, high + 1.25))
    axes = add_axes(figure, left=0.5 + more, bottom=0.85, width=6.3, height=high)
    floors = np.arange(n_classes)[::-1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    highest = shares[:, 1:-1].max(initial=0) or shares.max() or 1.0
    bounds = np.array([-np.inf, *thresholds, np.inf]).clip(*edges[[0, -1]])
    for index, (floor, row) in enumerate(zip(floors, shares, strict=True)):
        heights = floor + HIGHEST * np.minimum(row / highest, 1)
        low, high = bounds[[-2, -1] if of_margin else [index, index + 1]]
        for colour in (WRONG, CORRECT):
            hill = axes.stairs(heights, edges, baseline=floor, fill=True, color=colour)
        hill.set_clip_path(Rectangle((low, floor), high - low, 1, transform=axes.transData))
    axes.hlines(floors, *edges[[0, -1]], color=GREY, linewidth=0.8)
    below = np.tile(floors, len(thresholds))
    axes.vlines(
        np.repeat(thresholds, n_classes),
        below,
        below + 0.9,
        color=GREY,
        linestyle="--",
        linewidth=1.2 if n_classes <= FEW_CLASSES else 0.4,
    )
    axes.set_yticks(floors + 0.35, classes)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=edges[[0, -1]], ylim=(0, n_classes))
    axes.set_title(f"{variant}: scores of the test images, by actual class")
    bare(axes)
    what = (
        "margin: the actual class's score minus the best other's"
        if of_margin
        else "score; the dashed lines are the thresholds"
    )
    axes.set_xlabel(
        f"{what}\n(blue: correct, orange: wrong; equal areas; the outermost bars count all "
        "scores beyond)"
    )
    write_png(path, figure)


def threshold_sweep(path: Path, sweep: np.ndarray, threshold: float, variant: str) -> None:
    """Draw accuracy, precision and recall against the threshold.

    Args:
        path: The PNG file to write.
        sweep: (n_thresholds, 4) as `metrics.threshold_sweep` returns it.
        threshold: The threshold in use.
        variant: The name in the title.
    """
    figure = Figure(figsize=(7, 4))
    axes = add_axes(figure, left=0.8, bottom=0.6, width=6, height=2.75)
    for column, (label, colour, style) in enumerate(
        [("accuracy", BLUE, "-"), ("precision", ORANGE, "--"), ("recall", GREY, ":")], 1
    ):
        axes.plot(sweep[:, 0], sweep[:, column], style, color=colour, label=label)
    axes.axvline(threshold, color="black", linewidth=0.8)
    axes.set_yscale(
        "function",
        functions=(
            lambda share: -np.log10(np.maximum(1 - share, 0) + NEAREST),
            lambda place: 1 + NEAREST - 10**-place,
        ),
    )
    lowest = sweep[:, 1:].min()
    axes.set_ylim(min(lowest, 0.98), 1.0001)
    shown = [tick for tick in SWEEP_TICKS if tick >= lowest]
    axes.set_yticks(shown, [f"{tick:g}" for tick in shown])
    axes.annotate(
        f"in use: {threshold:g}",
        (threshold, 0),
        (4, 6),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
    )
    axes.set(xlabel="threshold", ylabel="share (wider near 1)")
    axes.set_title(f"{variant}: effect of the threshold", pad=26)
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=9
    )
    bare(axes)
    write_png(path, figure)


def add_axes(
    figure: Figure, *, left: float, bottom: float, width: float, height: float
) -> Axes:
    """Add axes at a position in inches; matplotlib's own layouts draw everything twice."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def bare(axes: Axes) -> None:
    """Remove all of the frame but the lower line."""
    axes.spines[["top", "right", "left"]].set_visible(False)
