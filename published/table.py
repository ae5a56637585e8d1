"""Set the results beside those that others published, with Wilson's intervals.

reads   params.yaml: variants; rows.yaml: what was published, and why ours differ
        metrics/<variant>/confusion.csv, or <folder>/metrics/… of a row with a `folder`
        metrics/dataset/summary.json: that it is the data of the publications
writes  table.md
"""

import csv
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from scipy.stats import binomtest

from digits.config import cli
from digits.config.params import Params
from digits.data import files
from digits.data.registry import DATASETS
from digits.errors import InputError

log = logging.getLogger(__name__)

HEAD = """\
| model | published | here | 95 % interval | why they differ |
|---|---:|---:|---:|---|
"""
KEYS = {"model", "variant", "published", "why"}


def line(row: dict[str, Any], errors: int, n_images: int) -> str:
    """Return a row of the table; all rates in % of the test images."""
    interval = binomtest(errors, n_images).proportion_ci(method="wilson")
    low, high = 100 * interval.low, 100 * interval.high
    return (
        f"| {row['model']} | {row['published']} | {100 * errors / n_images:.2f} "
        f"| {low:.2f} to {high:.2f} | {row['why']} |\n"
    )


def load_rows(path: Path, variants: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of rows.yaml.

    Raises `InputError` if one lacks a key, or not each variant has just one row.
    """
    try:
        rows = yaml.safe_load(path.read_text("utf-8"))
        broken = [row for row in rows if set(row) - {"folder"} != KEYS]
    except (OSError, UnicodeError, yaml.YAMLError, TypeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if broken:
        raise InputError(f"{path}: a row has {', '.join(sorted(KEYS))}; got {broken[0]}")
    named = sorted(row["variant"] for row in rows if "folder" not in row)
    if named != sorted(variants):
        raise InputError(
            f"{path}: needs one row for each variant, {', '.join(sorted(variants))}; "
            f"got {', '.join(named)}"
        )
    return rows


def tested(path: Path) -> tuple[int, int]:
    """Return the errors and the number of images in a confusion matrix.

    Raises `InputError` if it can't be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            cells = [
                (int(cell["count"]), cell["actual"] != cell["predicted"])
                for cell in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if not any(n for n, _ in cells):
        raise InputError(f"{path}: there is no image in it; `make published` writes it")
    return sum(n for n, wrong in cells if wrong), sum(n for n, _ in cells)


def lines(params: Params, root: Path) -> Iterator[str]:
    """Yield the rows, as text."""
    for row in load_rows(root / "rows.yaml", params.variants):
        folder = root / row.get("folder", "") / "metrics" / row["variant"]
        yield line(row, *tested(folder / "confusion.csv"))


def check_data(path: Path) -> None:
    """Raise `InputError` unless this summary is of the data of the publications."""
    try:
        known = json.loads(path.read_text("utf-8"))["sha256"] == DATASETS["mnist"].sha256
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if not known:
        raise InputError(
            f"{path}: this is not MNIST, of which the published results are; "
            "set dataset.name in params.yaml to mnist"
        )


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read ({error!r}); `make published` writes it")


def main(params: Params, root: Path) -> None:
    """Check that it is MNIST, gather, write."""
    check_data(root / "metrics/dataset/summary.json")
    text = HEAD + "".join(lines(params, root))
    with files.replacing(root / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    log.info("%s: %d models", root / "table.md", len(params.variants))


if __name__ == "__main__":
    cli.run(main, __doc__)
