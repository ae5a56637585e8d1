"""Show what changed between two commits, as Markdown: parameters, metrics, mistakes.

It combines `dvc params diff`, `dvc metrics diff` and `dvc plots diff`, sorts their rows and
says of each metric whether it got better or worse. It works in a clone without data.
"""

import argparse
import json
import logging
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

from digits.config import cli
from digits.errors import InputError, printable
from digits.metrics import METRICS
from digits.pipeline import refuse_foreign_repository

EXAMPLES = """\
examples:
  digits compare                   the last commit with the working tree
  digits compare HEAD~1            the commit before it with the working tree
  digits compare main my-branch    two commits, branches, tags or experiments
  digits compare --tolerance 0     fail if any metric got worse
  digits compare --in published    the variants of the published table

exit status: 0 if no metric got worse by more than the tolerance; 1 if one did; 2 if the
revisions could not be compared, for example because a commit does not exist or a result
is damaged. Missing results are listed
"""
STATUS = 2  # of a user's mistake

# `accuracy` measures the same, and does not depend on the number of images.
WITHOUT_TOLERANCE = frozenset({"errors"})

CONFUSION = "confusion.csv"
N_CELLS = 5  # cells of each confusion matrix that are shown
N_DECIMALS = 6  # after the decimal point; metrics have no more
EN_DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Change:
    """A parameter, a metric or a cell of a confusion matrix, with its two values.

    Attributes:
        variant: The variant, or the file of a parameter that is not in params.yaml.
        name: Of the parameter, the metric or the cell.
        old: The value in the older revision; None if it is new.
        new: The value in the newer revision; None if it was removed.
    """

    variant: str
    name: str
    old: Any
    new: Any

    @property
    def difference(self) -> float | None:
        """The new value minus the old one, if both are numbers."""
        if _is_number(self.old) and _is_number(self.new):
            return round(self.new - self.old, N_DECIMALS)
        return None

    @property
    def worsening(self) -> float | None:
        """By how much it got worse: negative if better, None if unknown."""
        if self.difference is None or self.name not in METRICS:
            return None
        return -self.difference if METRICS[self.name] == "higher" else self.difference

    def exceeds(self, tolerance: float | None) -> bool:
        """Return whether it got worse by more than the tolerance."""
        return (
            tolerance is not None
            and self.name not in WITHOUT_TOLERANCE
            and (self.worsening or 0) > tolerance
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, order=True)
class Missing:
    """A result of a variant that a revision has, without this result."""

    variant: str
    path: str
    revision: str


def dvc(*arguments: str) -> Any:
    """Run a DVC command with `--json` and return its output.

    Raises:
        InputError: If DVC fails.
    """
    result = subprocess.run(  # noqa: S603 (DVC itself; no shell)
        (sys.executable, "-m", "dvc", *arguments, "--json"),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = result.stderr.replace("ERROR: ", "").splitlines()
        errors = (line for line in lines if line and not line.startswith("Having any trou"))
        raise InputError(f"dvc {' '.join(arguments)}: {'; '.join(errors)}")
    return json.loads(result.stdout) if result.stdout.strip() else {}


def metrics_diff(revisions: list[str]) -> dict[str, Any]:
    """Return `dvc metrics diff`, with the errors that the command does not print.

    They are under `errors`, by revision, then by path unless the whole revision failed.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 (slow to import)
    from dvc.repo import Repo  # noqa: PLC0415
    from dvc.scm import RevError  # noqa: PLC0415

    logging.getLogger("dvc").setLevel(logging.ERROR)  # it warns of what is in `errors`
    try:
        with Repo() as repo:
            return repo.metrics.diff(*revision_pair(revisions))
    except (DvcException, RevError) as error:
        command = " ".join(("dvc metrics diff", *revisions))
        raise InputError(f"{command}: {error}") from error


def unreadable(path: str, revision: str, reason: object) -> InputError:
    """Return the error for a damaged result."""
    cause = " ".join(str(reason).split())
    return InputError(
        f"{path} in {revision}: cannot be read ({cause}); `dvc repro` regenerates it"
    )


def parameters(revisions: list[str]) -> list[Change]:
    """Return the changed parameters, sorted by name."""
    return [
        Change("" if path == "params.yaml" else path, name, value["old"], value["new"])
        for path, values in sorted(dvc("params", "diff", *revisions).items())
        for name, value in sorted(values.items())
    ]


def metrics(revisions: list[str]) -> tuple[list[Change], set[Missing]]:
    """Return the changed metrics, sorted by variant and name, and those that are missing.

    Raises:
        InputError: If one can't be read or is not a finite number, or if the direction of a
            metric in the newer revision is not declared.
    """
    found, missing, changes = metrics_diff(revisions), set(), []
    for revision, errors in found.get("errors", {}).items():
        if not isinstance(errors, dict):
            raise InputError(f"{revision}: {' '.join(str(errors).split())}")
        for path, error in errors.items():
            if not isinstance(error, FileNotFoundError):
                raise unreadable(path, revision, error)
            missing.add(Missing(variant_of(PurePath(path)), path, revision))
    for path, values in found.get("diff", {}).items():
        for name, value in values.items():
            change = Change(variant_of(PurePath(path)), name, value["old"], value["new"])
            for given in (change.old, change.new):
                finite = _is_number(given) and math.isfinite(given)
                if given is not None and not finite:
                    raise InputError(f"{path}: {name} is {given!r}")
            if name not in METRICS and change.new is not None:
                raise InputError(
                    f"{path}: whether a higher or a lower {name} is better is undeclared; "
                    f'add {name}="higher" or "lower" to @directions at the function that '
                    "computes it, in digits/metrics.py"
                )
            changes.append(change)
    return sorted(changes, key=lambda change: (change.variant, change.name)), missing


def variant_of(path: PurePath) -> str:
    """Return the variant of `metrics/<variant>…`, after the folder of its pipeline."""
    return (path.parent.parent / path.stem).as_posix()


def mistakes(revisions: list[str], in_one: set[str]) -> tuple[list[Change], set[Missing]]:
    """Return the changed cells of the confusion matrices off the diagonal.

    A matrix with other classes in the other revision is left out.

    Args:
        revisions: None, one or two of them, as on the command line.
        in_one: The variants that only one of the revisions has.

    Returns:
        The changes by variant, the largest first; and the missing matrices.

    Raises:
        InputError: If one can't be read.
    """
    changes: list[Change] = []
    found = dvc("plots", "diff", *revisions)
    missing = set()
    for error in found.get("errors", []):
        path = error.get("source") or error.get("name", "")
        if path and PurePath(path).name != CONFUSION:
            continue  # another plot, which is not compared
        if error["type"] != FileNotFoundError.__name__ or not path:
            raise unreadable(path or "dvc.yaml", error["rev"], error["msg"])
        missing.add(Missing(variant_of(PurePath(path).parent), path, error["rev"]))
    in_one = in_one | {matrix.variant for matrix in missing}
    plots = {path: drawn[0] for path, drawn in found.get("data", {}).items() if drawn}
    shown = {name for plot in plots.values() for name in plot["revisions"]}
    if len(shown) == 1:  # DVC shows only one if both are the same commit
        return [], missing
    for path, plot in plots.items():
        variant = variant_of(PurePath(path).parent)
        if PurePath(path).name == CONFUSION and variant not in in_one:
            try:
                before, after = (_matrix(plot, name) for name in revision_pair(revisions))
            except (KeyError, ValueError) as error:
                raise InputError(
                    f"{path}: is not a confusion matrix ({error!r})"
                ) from error
            changes += (
                Change(variant, " predicted as ".join(cell), count, after[cell])
                for cell, count in before.items()
                if before.keys() == after.keys() and count != after[cell]
                if len(set(cell)) > 1  # the actual class and another, predicted one
            )
    changes.sort(key=lambda c: (c.variant, -abs(c.difference or 0), c.name))
    return changes, missing


def _matrix(plot: dict[str, Any], revision: str) -> dict[tuple[str, str], int]:
    cells = {
        (row["actual"], row["predicted"]): int(row["count"])
        for row in plot["content"]["data"]["values"]
        if row["rev"] == revision
    }
    if not cells:
        raise ValueError(f"it is empty in {revision}")
    return cells


def revision_pair(revisions: list[str]) -> tuple[str, str]:
    """Return the two revisions that DVC compares."""
    before, after = (*revisions, *("HEAD", "workspace")[len(revisions) :])
    return before, after


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], n_text: int) -> str:
    """Return a Markdown table; all columns after the first `n_text` are right-aligned."""
    rule = (*["---"] * n_text, *["---:"] * (len(header) - n_text))
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def number(value: Any, sign: str = "") -> str:
    """Return a value for a cell: numbers without trailing zeros, text in backquotes."""
    if value is None:
        return EN_DASH
    if not _is_number(value):
        return code(str(value))
    rounded = f"{value:{sign}.{N_DECIMALS}f}".rstrip("0").rstrip(".")
    return rounded if float(rounded) or not value else f"{value:{sign}g}"


def markdown_text(text: str) -> str:
    """Return text unchanged if Markdown gives it no meaning, otherwise as code."""
    return text if re.fullmatch(r"[^\W_]+( [^\W_]+)*", text) else code(text)


def code(text: str) -> str:
    """Return text as inline code that cannot break the table."""
    return "`" + printable(re.sub(r"[`|\s]+", " ", text)) + "`"


def verdict(change: Change, tolerance: float | None) -> str:
    """Return whether a change is an improvement, in a word."""
    if change.old is None or change.new is None:
        return "new" if change.old is None else "removed"
    if not change.worsening:
        return EN_DASH
    arrow = "↑" if (change.difference or 0) > 0 else "↓"
    word = "worse" if change.worsening > 0 else "better"
    note = ", **exceeds the tolerance**" if change.exceeds(tolerance) else ""
    return f"{arrow} {word}{note}"


def markdown(
    names: tuple[str, str],
    changed: dict[str, list[Change]],
    tolerance: float | None,
    root: str = "",
    missing: Iterable[Missing] = (),
) -> str:
    """Return the comparison of two revisions as Markdown.

    Args:
        names: The two revisions.
        changed: The changes, by "parameters", "metrics" and "mistakes".
        tolerance: By how much a metric may get worse; None: not judged.
        root: The folder of the project.
        missing: The results that a revision lacks.
    """
    before, after = (_short(name) for name in names)
    parts = []
    if not any(changed.values()):
        parts = [f"No parameter, metric or mistake differs between {before} and {after}."]
    if changed["parameters"]:
        settings = (
            (code(f"{c.variant} {c.name}".strip()), number(c.old), number(c.new))
            for c in changed["parameters"]
        )
        parts += ["### Parameters", table(("parameter", before, after), settings, 1)]
    if changed["metrics"]:
        header = ("variant", "metric", before, after, "change", "")
        rows = (
            (
                code(c.variant),
                code(c.name),
                number(c.old),
                number(c.new),
                number(c.difference, "+"),
                verdict(c, tolerance),
            )
            for c in changed["metrics"]
        )
        parts += ["### Metrics", table(header, rows, 2)]
    if changed["mistakes"]:
        parts += ["### Mistakes", *_mistakes(changed["mistakes"], before, after, root)]
    if missing:
        lines = (f"- {code(m.path)} in {_short(m.revision)}" for m in sorted(missing))
        why = (
            "The variant exists in this revision, but this result does not, so it was not "
            "compared:"
        )
        parts += ["### Missing", why, "\n".join(lines)]
    n_worse = sum(change.exceeds(tolerance) for change in changed["metrics"])
    if n_worse:
        parts.append(f"**Worse by more than {tolerance:g}: {n_worse} of the metrics.**")
    return "\n\n".join(parts)


def _short(revision: str) -> str:
    return code(revision[:7] if re.fullmatch("[0-9a-f]{40}", revision) else revision)


def _mistakes(changes: list[Change], before: str, after: str, root: str) -> Iterator[str]:
    """Yield a table of the cells that changed most, and the folders of figures."""
    rows: list[tuple[str, ...]] = []
    figures, cut = [], []
    for variant, group in groupby(changes, key=lambda change: change.variant):
        cells = list(group)
        rows += (
            (
                code(variant),
                markdown_text(c.name),
                number(c.old),
                number(c.new),
                number(c.difference, "+"),
            )
            for c in cells[:N_CELLS]
        )
        folder, _, name = variant.rpartition("/")
        figures.append(code(f"{PurePath(root, folder, 'metrics', name, 'figures')}/"))
        if len(cells) > N_CELLS:
            cut.append(f"{len(cells) - N_CELLS} more of {code(variant)}")
    yield table(("variant", "actual and predicted class", before, after, "change"), rows, 2)
    yield (f"Smaller changes: {', '.join(cut)}. " if cut else "") + (
        f"Figures: {', '.join(figures)}."
    )


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("A", nargs="?", help="the older commit (default: HEAD)")
    parser.add_argument("B", nargs="?", help="the newer commit (default: the working tree)")
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        metavar="X",
        help="fail if a metric got worse by more than X, in its own unit, for example "
        "0.001 of accuracy or of log loss; `errors` is not checked, because accuracy "
        "measures the same",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the exit status."""
    os.chdir(arguments.root)  # there DVC works on the project of this folder
    revisions = [name for name in (arguments.A, arguments.B) if name is not None]
    refuse_foreign_repository(Path())
    with cli.commands_act_on(arguments.root):
        scores, without_metrics = metrics(revisions)
        in_one = {
            change.variant for change in scores if change.old is None or change.new is None
        }
        mistake_changes, without_matrix = mistakes(revisions, in_one)
        changed = {
            "parameters": parameters(revisions),
            "metrics": scores,
            "mistakes": mistake_changes,
        }
    missing = sorted(without_metrics | without_matrix)
    tolerance = arguments.tolerance
    if arguments.json:
        printed = {
            kind: [asdict(change) | {"change": change.difference} for change in changes]
            for kind, changes in changed.items()
        }
        for entry, change in zip(printed["metrics"], changed["metrics"], strict=True):
            entry["worsening"] = change.worsening
            entry["too_much"] = change.exceeds(tolerance)
        printed["missing"] = [asdict(result) for result in missing]
        print(json.dumps(printed, indent=2))
    else:
        pair = revision_pair(revisions)
        print(markdown(pair, changed, tolerance, str(arguments.root), missing))
    return int(any(change.exceeds(tolerance) for change in changed["metrics"]))
