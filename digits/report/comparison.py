"""The content of the page that compares two revisions: plain values and images.

The numbers are those of metrics/, which Git has. The images are those of data/raw in the
working tree, if they are the ones that were classified.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from digits import revisions
from digits.data import dataset
from digits.errors import InputError
from digits.figures import FEW_CLASSES
from digits.paired import Comparison, Result
from digits.report import packed_arrays
from digits.report.content import included_images
from digits.revisions import Change, Found

Checksums = Mapping[str, str]  # of the images and labels, by the names of the arrays
Row = dict[str, Any]

TEST = ("x_test", "y_test")
VARIANTS = "variants."  # what the names of the variants' parameters begin with
TICKS = (1, 2, 5)  # steps of an axis, times a power of ten


@dataclass(frozen=True)
class ImagesAtHand:
    """The test images of a pipeline.

    Attributes:
        images: (n_samples, height, width) uint8.
        labels: (n_samples,) uint8.
        names: The names of the classes, by label.
        checksums: Of the images and the labels.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    checksums: Checksums

    def numbers(self, result: Result) -> np.ndarray | None:
        """Return the numbers of a variant's test images among these.

        Args:
            result: Of the variant.

        Returns:
            (n_images,) ascending; None if the result is not of these images.
        """
        classes = list(result.support)
        if not {*classes} <= {*self.names}:
            return None
        rows = np.flatnonzero(
            np.isin(self.labels, [self.names.index(name) for name in classes])
        )
        if len(rows) != result.n_images or any(
            self.names[self.labels[rows[image]]] != actual
            for image, (actual, _) in (result.mistakes or {}).items()
        ):
            return None
        return rows


def load_test_images(folder: Path, expected: Checksums) -> ImagesAtHand | None:
    """Return the test images of a pipeline, if they are at hand.

    Args:
        folder: The folder of the pipeline.
        expected: The checksums of the images that were classified.

    Returns:
        None if there are none, if they are damaged, or if they are others.
    """
    raw = folder / "data/raw"
    try:
        split, names = dataset.load_split(raw / "test"), dataset.load_names(raw)
    except InputError:
        return None
    found = dict(zip(TEST, map(dataset.sha256, split), strict=True))
    return ImagesAtHand(*split, names, found) if _are_same(found, expected) else None


def _are_same(one: Checksums, other: Checksums) -> bool:
    """Return whether both are known, and of the same test images and labels."""
    return all(name in one and one[name] == other.get(name) for name in TEST)


def content(found: Found, level: float, test_images: ImagesAtHand | None) -> dict[str, Any]:
    """Return the variables of page/comparison.html.jinja.

    Args:
        found: What differs between two revisions: A and B on the page.
        level: The largest p-value of a clear difference.
        test_images: The images to show; None if they are not at hand.
    """
    older, newer = found.sides
    paired = {comparison.name for comparison in found.comparisons}
    arrays: dict[str, np.ndarray] = {}
    sections: list[Row] = []
    shown: list[np.ndarray] = []
    for variant in sorted(older.results.keys() & newer.results.keys()):
        pair = older.results[variant], newer.results[variant]
        if pair[0].counts.keys() != pair[1].counts.keys():
            continue
        flips = _flips(*pair) if variant in paired else np.empty((0, 4), np.uint32)
        numbers = None
        checksums = newer.checksums.get(revisions.folder_of(variant), {})
        if test_images and _are_same(test_images.checksums, checksums):
            numbers = test_images.numbers(pair[1])
        if numbers is not None:
            flips[:, 0] = numbers[flips[:, 0]]
            shown.append(flips[:, 0])
        section = _section(variant, *pair)
        if len(flips) or section["before"] != section["after"]:
            about = {"is_paired": variant in paired, "has_images": numbers is not None}
            sections.append(section | about | _counts(flips))
            arrays[f"{variant}/flips"] = flips
    drawn = _drawn(test_images, shown)
    packed = packed_arrays.pack(arrays | drawn)
    return {
        "payload": {
            "dataset": {
                "names": sorted({name for one in sections for name in one["classes"]}),
                "height": drawn["images"].shape[1],
                "width": drawn["images"].shape[2],
            },
            "few_classes": FEW_CLASSES,
            "layout": packed.layout,
        },
        "packed_arrays": packed.text,
        "differences": sections,
        "older": {"name": older.name, "commit": older.commit},
        "newer": {"name": newer.name, "commit": newer.commit},
        "changed_data": [
            {
                "folder": _folder(folder),
                "arrays": names,
                "has_other_tests": not {*TEST}.isdisjoint(names),
            }
            for folder in sorted(older.checksums.keys() & newer.checksums.keys())
            if (names := _changed(older.checksums[folder], newer.checksums[folder]))
        ],
        "level": level,
        **_tables(found),
    }


def _folder(folder: PurePath) -> str:
    return "" if folder == PurePath() else folder.as_posix()


def _changed(older: Checksums, newer: Checksums) -> list[str]:
    """Return the names of the arrays that are known to differ."""
    both = sorted(older.keys() & newer.keys())
    return [name for name in both if older[name] != newer[name]]


def _section(variant: str, older: Result, newer: Result) -> Row:
    """Return the confusion matrices of a variant."""
    classes = list(older.support)

    def matrix(result: Result) -> list[list[int]]:
        return [[result.counts[row, column] for column in classes] for row in classes]

    return {
        "name": variant,
        "classes": classes,
        "n_images": newer.n_images,
        "before": matrix(older),
        "after": matrix(newer),
    }


def _flips(older: Result, newer: Result) -> np.ndarray:
    """Return the images with another prediction.

    Returns:
        (n_flips, 4) uint32: the image's index in the test images, ascending, and the index
        of its actual class, and of that predicted by the older and by the newer result.
    """
    a, b = older.mistakes or {}, newer.mistakes or {}
    index = {name: i for i, name in enumerate(older.support)}
    rows = []
    for image in sorted(a.keys() | b.keys()):
        actual = (a.get(image) or b[image])[0]
        before, after = (wrong.get(image, (actual, actual))[1] for wrong in (a, b))
        if before != after:
            rows.append((image, index[actual], index[before], index[after]))
    return np.array(rows, np.uint32).reshape(-1, 4)


def _counts(flips: np.ndarray) -> Row:
    """Return how many images only the older or the newer result has right, or neither."""
    _, actual, before, after = flips.T
    return {
        "n_lost": int((before == actual).sum()),
        "n_gained": int((after == actual).sum()),
        "n_other": int(((before != actual) & (after != actual)).sum()),
    }


def _drawn(
    test_images: ImagesAtHand | None, shown: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the arrays of page/arrays.js.

    Args:
        test_images: All test images, if they are at hand.
        shown: For each variant the numbers of its images.
    """
    numbers = np.array(sorted({n for rows in shown for n in rows.tolist()}), np.uint32)
    if test_images is None or not len(numbers):
        return {"included_images": numbers[:0], "images": np.empty((0, 1, 1), np.uint8)}
    images = test_images.images[numbers]
    kept = included_images(images, [np.searchsorted(numbers, rows) for rows in shown])
    return {"included_images": numbers[kept], "images": images[kept]}


def _tables(found: Found) -> Row:
    """Return the tables of the page."""
    different = [c for c in found.comparisons if not c.is_of_equals]
    grid, others = _parameters(found.parameters)
    return {
        "parameters": grid,
        "other_parameters": others,
        "comparisons": [asdict(c) for c in different],
        "axis": _axis(different),
        "n_tested": sum(bool(c.only_old or c.only_new) for c in different),
        "equal": [c.name for c in found.comparisons if c.is_of_equals],
        "unpaired": [asdict(one) for one in found.unpaired],
        "metrics": [_as_row(change) for change in found.metrics],
        "tuning": [_as_row(change) for change in found.tuning],
        "missing": [asdict(missing) for missing in found.missing],
    }


def _as_row(change: Change) -> Row:
    """Return a change as texts; `better` is None if no direction is better."""
    difference, worsening = change.difference, change.worsening
    return {
        "variant": change.variant,
        "name": change.name,
        "old": text(change.old),
        "new": text(change.new),
        "difference": "" if difference is None else revisions.number(difference, "+"),
        "better": None if not worsening else worsening < 0,
    }


def text(value: Any) -> str:
    """Return a value of a parameter or a metric as text."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, list):
        return ", ".join(map(text, value))
    return revisions.number(value) if revisions.is_number(value) else str(value)


def _parameters(changes: Iterable[Change]) -> tuple[Row, list[Row]]:
    """Return the parameters of variants as a grid, and a list of the others.

    Returns:
        grid: `variants`, the columns; `rows`, each with its `name` and a cell for each
            variant: the old and the new value, or None if it did not change.
        others: Each with `name`, `old` and `new`.
    """
    cells: dict[str, dict[str, tuple[str, str]]] = {}
    others = []
    for change in changes:
        old, new = text(change.old), text(change.new)
        if change.name.startswith(VARIANTS) and change.name.count(".") > 1:
            _, variant, key = change.name.split(".", 2)
            folder = PurePath(change.variant).parent
            cells.setdefault(key, {})[(folder / variant).as_posix()] = old, new
        else:
            name = f"{change.variant} {change.name}".strip()
            others.append({"name": name, "old": old, "new": new})
    variants = [*dict.fromkeys(variant for row in cells.values() for variant in row)]
    rows = [
        {"name": key, "cells": [row.get(variant) for variant in variants]}
        for key, row in cells.items()
    ]
    return {"variants": variants, "rows": rows}, others


def _axis(comparisons: Sequence[Comparison]) -> Row:
    """Return the axis on which the differences of accuracy are drawn.

    Returns:
        `end`: the largest size of a difference or of an end of its interval; `ticks`:
        multiples of a round step.
    """
    ends = [abs(end) for c in comparisons for end in c.difference_interval]
    end = max(ends, default=0) or 1.0
    return {"end": end, "ticks": [*_ticks(end)]}


def _ticks(end: float) -> Iterator[float]:
    power = 10 ** math.floor(math.log10(end))
    step = max((n * power for n in TICKS if n * power <= end), default=power)
    yield from (-step, 0.0, step)
