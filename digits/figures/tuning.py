"""The figure of a tuning: the held-out accuracy and log loss of each candidate."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from digits.data.files import write_png
from digits.figures.canvas import Axes, Figure, colormaps
from digits.figures.plots import BLUE, GREY, ORANGE, add_axes, bare
from digits.tuning.choice import Row, named, parameters, text

# Okabe and Ito's palette, without orange, which marks the choice
COLOURS = (BLUE, "#009e73", "#cc79a7", "#56b4e9", "#000000")
MARKERS = "osv^D"
# In inches: the margins, the axes and the gap between them, an entry of the legend
LEFT, BOTTOM, WIDTH, HEIGHT, GAP, ENTRY = 0.95, 0.55, 6.1, 2.3, 0.25, 0.2
MOST_LABELS = 12  # values along the axis that are all labelled
FEW_LABELS = 6  # values whose labels may be long
SHIFT = 0.12  # between the lines, as a share of the distance of two neighbouring values
WIDE_RANGE = 10  # the least ratio of largest and smallest value for a logarithmic axis

# The ring of the simplest is around the dot of the best if they are the same.
CHOICES: dict[str, dict[str, Any]] = {
    "best": {
        "marker": "o", "markersize": 8, "color": ORANGE, "linestyle": "", "zorder": 4,
    },
    "simplest": {
        "marker": "o", "markersize": 13, "markerfacecolor": "none", "zorder": 4,
        "markeredgecolor": ORANGE, "markeredgewidth": 1.6, "linestyle": "",
    },
}  # fmt: skip
LIMIT: dict[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 0.9, "zorder": 1}
LEGEND: dict[str, Any] = {
    "frameon": False,
    "fontsize": 9,
    "borderaxespad": 0.3,
    "borderpad": 0.2,
}


def tuning_plot(
    path: Path, table: Sequence[Row], title: str, measure: str = "accuracy"
) -> None:
    """Draw accuracy and log loss of each candidate, with error bars of one standard error.

    The values of one parameter are along the axis. If there are several parameters, it is
    the one with the most values, and each combination of the others is a line.

    Args:
        path: The PNG file to write.
        table: A row for each candidate, as in `digits.tuning.choice`.
        title: The title.
        measure: The measure that chose: `accuracy` or `log_loss`. A dashed line is one
            standard error from its best mean.
    """
    keys = parameters(table[0])
    values = {key: [*{repr(row[key]): row[key] for row in table}.values()] for key in keys}
    along = max(keys, key=lambda key: len(values[key]))
    others = [key for key in keys if key != along]
    at, ticks = _scale(values[along])
    lines: dict[str, list[Row]] = {}
    for row in table:
        lines.setdefault(", ".join(text(row[key]) for key in others), []).append(row)
    drawn = ["accuracy", *["log_loss"] * any(row["log_loss"] is not None for row in table)]

    entries = ENTRY * (2 + any("simplest" in row["choice"] for row in table))
    panels = len(drawn) * (HEIGHT + GAP) - GAP
    right = 0.55 + 0.07 * max(map(len, (*lines, *others))) if others else 0.2
    figure = Figure(figsize=(LEFT + WIDTH + right, BOTTOM + panels + entries + 0.5))
    axes = [
        add_axes(
            figure,
            left=LEFT,
            bottom=BOTTOM + i * (HEIGHT + GAP),
            width=WIDTH,
            height=HEIGHT,
        )
        for i in reversed(range(len(drawn)))
    ]
    for panel, name in zip(axes, drawn, strict=True):
        _draw(panel, name, lines, along, at)
        if name == measure:
            _draw_limit(panel, table, measure)
        if ticks:
            size = 9 if len(ticks) <= FEW_LABELS else 8
            panel.set_xticks([*ticks], [*ticks.values()], fontsize=size)
        panel.tick_params(axis="x", labelbottom=panel is axes[-1])
        panel.set_ylabel(name.replace("_", " "))
        panel.yaxis.set_label_coords(-(LEFT - 0.25) / WIDTH, 0.5)
        bare(panel)
    axes[-1].set_xlabel(along)
    axes[0].set_title(title, pad=72 * (entries + 0.15))
    _add_legend(axes[0], table, keys)
    if others:
        _add_lines(axes[0], [*lines], ", ".join(others))
    write_png(path, figure)


def _scale(values: list[Any]) -> tuple[dict[str, float], dict[float, str]]:
    """Return the position of each value, and the labels along the axis.

    Numbers that span a wide range unevenly have the positions of their logarithms; text and
    lists are side by side.

    Returns:
        The position of each value, by its `repr`; the label of each labelled position,
        empty if matplotlib chooses them.
    """
    numbers = all(isinstance(value, int | float) for value in values)
    if not numbers:
        positions = np.arange(len(values), dtype=float)
        names = [text(value) for value in values]
        if len(values) > FEW_LABELS or len({*names}) < len(names):
            names = [str(i) for i in range(1, len(values) + 1)]
    else:
        positions = np.array(values, dtype=float)
        names = [f"{value:.3g}" for value in values]
        low, high = min(values), max(values)
        if low > 0 and high >= WIDE_RANGE * low and not _evenly_spaced(positions):
            positions = np.log10(positions)
            if len(values) > MOST_LABELS:
                decades = range(
                    math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1
                )
                ticks = {float(decade): f"{10.0**decade:g}" for decade in decades}
                return _by_repr(values, positions), ticks
        elif len(values) > MOST_LABELS:
            return _by_repr(values, positions), {}
    return _by_repr(values, positions), dict(zip(positions.tolist(), names, strict=True))


def _by_repr(values: list[Any], positions: np.ndarray) -> dict[str, float]:
    return dict(zip(map(repr, values), positions.tolist(), strict=True))


def _evenly_spaced(values: np.ndarray) -> bool:
    steps = np.diff(np.sort(values))
    return len(steps) > 1 and bool(np.allclose(steps, steps[0]))


def _draw(
    axes: Axes, name: str, lines: dict[str, list[Row]], along: str, at: dict[str, float]
) -> None:
    """Draw a measure: a line through the means, and mark the choice."""
    spread = np.diff(sorted(at.values()))
    step = SHIFT * min(spread, default=0.0) / max(1, len(lines) / 6)
    for i, (rows, (colour, marker)) in enumerate(
        zip(lines.values(), _styles(len(lines)), strict=True)
    ):
        shift = step * (i - (len(lines) - 1) / 2)
        ordered = sorted(rows, key=lambda row: at[repr(row[along])])
        x = np.array([at[repr(row[along])] for row in ordered]) + shift
        means, errors = (
            np.array([row[key] for row in ordered], dtype=float)
            for key in (name, f"{name}_se")
        )
        axes.errorbar(
            x, means, errors, color=colour, marker=marker, markersize=4, linewidth=1.2,
            elinewidth=1, capsize=2.5 if len(x) <= MOST_LABELS else 0,
        )  # fmt: skip
        for where, mean, row in zip(x, means, ordered, strict=True):
            for choice, style in CHOICES.items():
                if choice in row["choice"]:
                    axes.plot(where, mean, **style)
    axes.margins(x=0.04 if len(at) > 1 else 1, y=0.08)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)


def _styles(n_lines: int) -> list[tuple[Any, str]]:
    """Return a colour and a marker for each line."""
    if n_lines <= len(COLOURS):
        return [*zip(COLOURS, MARKERS, strict=True)][:n_lines]
    return [(colour, "o") for colour in colormaps["viridis"](np.linspace(0, 0.9, n_lines))]


def _draw_limit(axes: Axes, table: Sequence[Row], measure: str) -> None:
    """Draw a line one standard error from the best mean."""
    sign = -1 if measure == "accuracy" else 1
    for row in table:
        if "best" in row["choice"]:
            limit = row[measure] + sign * row[f"{measure}_se"]
            axes.axhline(limit, **LIMIT)


def _add_legend(axes: Axes, table: Sequence[Row], keys: list[str]) -> None:
    """Say above the axes what is marked."""
    entries = [
        (f"{choice}{note}: {named(row, keys)}", CHOICES[choice])
        for choice, note in (("best", ""), ("simplest", " within one standard error"))
        for row in table
        if choice in row["choice"]
    ]
    entries.append(("one standard error from the best mean", LIMIT))
    handles = [axes.plot([], [], **style)[0] for _, style in entries]
    labels = [label for label, _ in entries]
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), **LEGEND)


def _add_lines(axes: Axes, names: list[str], title: str) -> None:
    """Say at the right of the axes which line is which."""
    if above := axes.get_legend():
        axes.add_artist(above)  # otherwise the next one replaces it
    handles = [
        axes.plot([], [], color=colour, marker=marker, markersize=4)[0]
        for colour, marker in _styles(len(names))
    ]
    axes.legend(
        handles, names, title=title, loc="upper left", bbox_to_anchor=(1.01, 1), **LEGEND
    )
