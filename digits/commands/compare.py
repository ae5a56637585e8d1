"""Show what changed between two commits, as Markdown: parameters, metrics, mistakes.

It combines `dvc params diff`, `dvc metrics diff` and the tables that Git keeps. It says of
each metric whether it got better or worse, and of each variant whether that is more than
chance: on the same test images, with McNemar's exact test. It works in a clone without
data. docs/comparing.md explains it.
"""

import argparse
import json
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

from digits import paired, revisions
from digits.config import cli
from digits.errors import InputError, printable
from digits.paired import Comparison
from digits.pipeline import refuse_foreign_repository
from digits.revisions import WORKSPACE, Change, Found

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  digits compare                   the last commit with the working tree
  digits compare HEAD~1            the commit before it with the working tree
  digits compare main my-branch    two commits, branches, tags or experiments
  digits compare --fail-on worse   fail if a variant got worse by more than chance
  digits compare --tolerance 0     fail if any metric got worse
  digits compare --in published    the variants of the published table
  digits compare HEAD~1 --page     the same as a page, with the images that changed
  digits compare --variants one_vs_rest multinomial
                                   two variants in the working tree
  digits compare --variants one_vs_rest multinomial HEAD~1
                                   two variants in a commit

exit status: 0 if nothing got worse, or neither --fail-on nor --tolerance is given; 1 if a
variant is clearly worse (--fail-on worse) or a metric got worse by more than the tolerance;
2 if the revisions could not be compared, for example because a commit does not exist or a
result is damaged. Missing results are listed
"""
STATUS = 2  # of a user's mistake

LEVEL = 0.05
SMALLEST_P = 0.0001  # of the p-values that are shown as numbers
N_CELLS = 5  # cells of each confusion matrix that are shown
EN_DASH = "\N{EN DASH}"
PAGE = Path("report/comparison.html")


def revision_pair(named: list[str]) -> tuple[str, str]:
    """Return the two revisions to compare, of which one or both may be left out."""
    before, after = (*named, *("HEAD", WORKSPACE)[len(named) :])
    return before, after


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], n_text: int) -> str:
    """Return a Markdown table; all columns after the first `n_text` are right-aligned."""
    rule = (*["---"] * n_text, *["---:"] * (len(header) - n_text))
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def number(value: Any, sign: str = "") -> str:
    """Return a value for a cell: a number without trailing zeros, text in backquotes."""
    if value is None:
        return EN_DASH
    return revisions.number(value, sign) if revisions.is_number(value) else code(str(value))


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
    found: Found,
    level: float = LEVEL,
    tolerance: float | None = None,
    root: str = "",
) -> str:
    """Return the comparison of two revisions as Markdown.

    Args:
        names: The two revisions.
        found: What differs.
        level: The largest p-value of a clear difference.
        tolerance: By how much a metric may get worse; None: not judged.
        root: The folder of the project.
    """
    before, after = (_short(name) for name in names)
    parts = []
    if not found.differs:
        parts = [f"No parameter, metric or mistake differs between {before} and {after}."]
    if found.parameters:
        settings = (
            (code(f"{c.variant} {c.name}".strip()), number(c.old), number(c.new))
            for c in found.parameters
        )
        parts += ["### Parameters", table(("parameter", before, after), settings, 1)]
    if found.metrics:
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
            for c in found.metrics
        )
        parts += ["### Metrics", table(header, rows, 2)]
    chance = [*_chance(found, before, after, level)]
    if chance:
        parts += ["### More than chance?", *chance]
    if found.mistakes:
        parts += ["### Mistakes", *_mistakes(found.mistakes, before, after, root)]
    if found.tuning:
        titles = ("tuning", "result", before, after, "change")
        cells = (
            (
                code(c.variant),
                code(c.name),
                number(c.old),
                number(c.new),
                number(c.difference, "+"),
            )
            for c in found.tuning
        )
        parts += ["### Tuning", table(titles, cells, 2)]
    if found.missing:
        lines = (f"- {code(m.path)} in {_short(m.revision)}" for m in found.missing)
        why = (
            "The variant exists in this revision, but this result does not, so it was not "
            "compared:"
        )
        parts += ["### Missing", why, "\n".join(lines)]
    n_worse = sum(change.exceeds(tolerance) for change in found.metrics)
    if n_worse:
        parts.append(f"**Worse by more than {tolerance:g}: {n_worse} of the metrics.**")
    return "\n\n".join(parts)


def _chance(found: Found, before: str, after: str, level: float) -> Iterator[str]:
    """Yield the comparison of the variants image by image, as Markdown."""
    different = [c for c in found.comparisons if not c.is_of_equals]
    if different:
        yield from _comparisons(different, before, after, level, "variant")
    equal = [code(c.name) for c in found.comparisons if c.is_of_equals]
    if equal and (different or found.metrics):
        yield f"In both, the same images are right: {', '.join(equal)}."
    unpaired = sorted(found.unpaired, key=lambda one: (one.revision or "", one.variant))
    for revision, group in groupby(unpaired, key=lambda one: one.revision):
        variants = ", ".join(code(one.variant) for one in group)
        if revision is None:
            yield f"Not compared image by image, as the test images differ: {variants}."
        else:
            yield (
                f"Not compared image by image, as {_short(revision)} has no "
                f"`{revisions.MISTAKES}` of {variants}: `dvc repro` there writes it."
            )


def _comparisons(
    comparisons: Sequence[Comparison], before: str, after: str, level: float, what: str
) -> Iterator[str]:
    """Yield a table of comparisons, and a text that explains the p-values.

    Args:
        comparisons: At least one.
        before: The older of the two that are compared.
        after: The newer one.
        level: The largest p-value of a clear difference.
        what: The heading of the comparisons' names.
    """
    with_loss = any(c.log_loss for c in comparisons)
    header = (
        what,
        f"accuracy of {before}",
        f"accuracy of {after}",
        f"only {before} right",
        f"only {after} right",
        "difference",
        *["difference of log loss"] * with_loss,
        "p-value",
        f"{after} is",
    )
    rows = (
        (
            code(c.name),
            _accuracy(c.accuracy_old, c.interval_old),
            _accuracy(c.accuracy_new, c.interval_new),
            str(c.only_old),
            str(c.only_new),
            "{:+.4f} ({:+.4f} to {:+.4f})".format(c.difference, *c.difference_interval),
            *[_log_loss(c)] * with_loss,
            _p_value(c.p_adjusted),
            c.verdict if c.verdict == paired.UNCLEAR else f"**{c.verdict}**",
        )
        for c in comparisons
    )
    yield table(header, rows, 1)
    tested = [c for c in comparisons if c.only_old or c.only_new]
    text = ""
    if tested:
        example = min(tested, key=lambda c: c.p_value)
        of = f" of {code(example.name)}" if len(comparisons) > 1 else ""
        correction = ""
        if len(tested) > 1:
            correction = (
                f"; with Holm's correction for {len(tested)} comparisons "
                f"{_p_value(example.p_adjusted)}"
            )
        text = (
            f"Of the {example.only_old + example.only_new} test images{of} that only one "
            f"of the two classifies correctly, {after} has {example.only_new} and {before} "
            f"{example.only_old}. If both were equally good, chance would divide them at "
            f"least as unevenly with probability {_p_value(example.p_value)} (McNemar's "
            f"exact test{correction}). A p-value of at most {level:g} is a clear "
            "difference. "
        )
    yield f"{text}In parentheses: {100 * (1 - level):g} % intervals."


def _accuracy(value: float, interval: tuple[float, float]) -> str:
    return "{:.4f} ({:.4f} to {:.4f})".format(value, *interval)


def _log_loss(comparison: Comparison) -> str:
    loss = comparison.log_loss
    if loss is None:
        return EN_DASH
    low, high = (number(end, "+") for end in loss.interval)
    return f"{number(loss.difference, '+')} ({low} to {high})"


def _p_value(value: float) -> str:
    return f"{value:.4f}" if value >= SMALLEST_P else f"< {SMALLEST_P}"


def markdown_of_variants(
    names: tuple[str, str], revision: str, comparison: Comparison, level: float
) -> str:
    """Return the comparison of two variants at one revision as Markdown."""
    before, after = map(code, names)
    parts = [f"### {before} and {after}"]
    if comparison.is_of_equals:
        parts += [f"In {_short(revision)} both classify the same images correctly."]
    else:
        parts += _comparisons([comparison], before, after, level, "revision")
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


def compare_variants(
    repo: Any, names: tuple[str, str], revision: str, level: float
) -> Comparison:
    """Compare two variants at one revision.

    Args:
        repo: DVC's `Repo`.
        names: The two variants.
        revision: A revision, or `workspace`.
        level: The largest p-value of a clear difference.

    Raises:
        InputError: If a result is missing or can't be read, or if the two are of other test
            images.
    """
    paths = [f"metrics/{name}.json" for name in names]
    results, missing = revisions.results(repo, revision, paths)
    for lacking in sorted(missing):
        pair = ("HEAD" if revision == WORKSPACE else revision, WORKSPACE)
        declared = revisions.metrics(repo, pair).declared[revision == WORKSPACE]
        known = ", ".join(sorted(map(revisions.variant_of, declared)))
        raise InputError(
            f"{lacking.path} in {revision}: is missing; the variants there are {known}"
        )
    older, newer = (results[name] for name in names)
    for name, result in zip(names, (older, newer), strict=True):
        if result.mistakes is None:
            raise InputError(
                f"metrics/{name}/{revisions.MISTAKES} in {revision}: is missing, and "
                "without it no image can be compared; `dvc repro` there writes it"
            )
    if not paired.have_same_images(older, newer):
        what = " and ".join(
            f"those of {name} {result.n_images} of {', '.join(result.support)}"
            for name, result in zip(names, (older, newer), strict=True)
        )
        raise InputError(
            f"{names[0]} and {names[1]} have other test images ({what}); compare two "
            "variants of the same subset"
        )
    (comparison,) = paired.compare({revision: (older, newer)}, level)
    return comparison


def write_page(path: Path, found: Found, level: float) -> None:
    """Write the page that compares two revisions.

    Args:
        path: The file.
        found: What differs.
        level: The largest p-value of a clear difference.
    """
    # slow to import
    from digits.data import files  # noqa: PLC0415
    from digits.report import comparison, render  # noqa: PLC0415

    loaded = (
        comparison.load_test_images(Path(folder), checksums)
        for folder, checksums in found.sides[-1].checksums.items()
    )
    test_images = next(filter(None, loaded), None)
    content = comparison.content(found, level, test_images)
    page = render.render(content, "comparison.html.jinja")
    with files.replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def _number(text: str) -> float:
    """Return a number; nan, which no range contains, if the text is not one."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _level(text: str) -> float:
    if not 0 < _number(text) < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return float(text)


def _tolerance(text: str) -> float:
    if not 0 <= _number(text) < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return float(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("A", nargs="?", help="the older commit (default: HEAD)")
    parser.add_argument("B", nargs="?", help="the newer commit (default: the working tree)")
    parser.add_argument(
        "--variants",
        nargs=2,
        metavar="VARIANT",
        help="compare two variants of the same subset, in the commit A (default: the "
        "working tree)",
    )
    parser.add_argument(
        "--level",
        type=_level,
        default=LEVEL,
        metavar="P",
        help="a difference of accuracies is clear if its p-value is at most P (default: "
        "%(default)s); intervals contain 1 - P",
    )
    parser.add_argument(
        "--fail-on",
        choices=["worse"],
        help="fail if a variant is clearly worse: if its accuracy fell by more than chance "
        "explains",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        metavar="X",
        help="fail if a metric got worse by more than X, in its own unit, for example "
        "0.001 of accuracy or of log loss; `errors` is not checked, because accuracy "
        "measures the same",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--page",
        action="store_true",
        help="also write a page: one HTML file with the matrices of differences and the "
        "images whose prediction changed",
    )
    output = parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where to write the page (default: {PAGE} in the project's folder)",
    )
    cli.complete_with(output, "FILE")
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the exit status."""
    if arguments.variants and (arguments.B is not None or arguments.tolerance is not None):
        raise InputError(
            "--variants compares two variants in one commit: name at most one commit, and "
            "use --fail-on worse instead of --tolerance"
        )
    if arguments.variants and arguments.page:
        raise InputError("--page compares two commits: leave out --variants")
    if arguments.output and not arguments.page:
        raise InputError("--output says where to write the page: add --page")
    target = arguments.output or arguments.root / PAGE
    if target.suffix != ".html":
        raise InputError(f"{target}: the page needs a name in .html")
    cli.check_output(target, force=True)
    page = target.absolute() if arguments.page else None
    os.chdir(arguments.root)  # there DVC works on the project of this folder
    refuse_foreign_repository(Path())
    with cli.commands_act_on(arguments.root), revisions.repository() as repo:
        if arguments.variants:
            return _main_of_variants(repo, arguments)
        pair = revision_pair([name for name in (arguments.A, arguments.B) if name])
        found = revisions.compare(repo, pair, arguments.level)
    tolerance = arguments.tolerance
    worse = [c.name for c in found.comparisons if c.verdict == "worse"]
    if arguments.json:
        print(json.dumps(as_json(found, arguments.level, tolerance), indent=2))
    else:
        print(markdown(pair, found, arguments.level, tolerance, str(arguments.root)))
        if worse and arguments.fail_on:
            print(f"\n**Clearly worse: {', '.join(map(code, worse))}.**")
    if page:
        write_page(page, found, arguments.level)
        log.info("%s: open it in a browser", target)
    too_much = any(change.exceeds(tolerance) for change in found.metrics)
    return int(too_much or bool(worse and arguments.fail_on))


def _main_of_variants(repo: Any, arguments: argparse.Namespace) -> int:
    names, revision = tuple(arguments.variants), arguments.A or WORKSPACE
    level = arguments.level
    comparison = compare_variants(repo, names, revision, level)
    if arguments.json:
        printed = {"variants": names, "level": level, "comparison": asdict(comparison)}
        print(json.dumps(printed, indent=2))
    else:
        print(markdown_of_variants(names, revision, comparison, level))
    return int(comparison.verdict == "worse" and arguments.fail_on is not None)


def as_json(found: Found, level: float, tolerance: float | None) -> dict[str, Any]:
    """Return what differs between two revisions, for JSON."""
    changed = {
        "parameters": found.parameters,
        "metrics": found.metrics,
        "mistakes": found.mistakes,
        "tuning": found.tuning,
    }
    printed: dict[str, Any] = {
        kind: [asdict(change) | {"change": change.difference} for change in changes]
        for kind, changes in changed.items()
    }
    for entry, change in zip(printed["metrics"], found.metrics, strict=True):
        entry["worsening"] = change.worsening
        entry["too_much"] = change.exceeds(tolerance)
    return printed | {
        "level": level,
        "comparisons": [asdict(comparison) for comparison in found.comparisons],
        "not_compared": [asdict(one) for one in found.unpaired],
        "missing": [asdict(result) for result in found.missing],
    }
