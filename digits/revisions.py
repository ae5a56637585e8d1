"""The parameters, metrics and tables of two revisions, and what differs between them.

A revision is whatever DVC knows: a commit, a branch, a tag, an experiment, or `workspace`
for the working tree. Metrics and tables are in Git; models and predictions are read from
DVC's cache if they are there.
"""

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path, PurePath
from typing import Any

from digits import paired, pipeline
from digits.data import regular
from digits.errors import InputError
from digits.locks import open_repo
from digits.metrics import METRICS
from digits.paired import Comparison, Result

WORKSPACE = "workspace"
CONFUSION = "confusion.csv"
MISTAKES = "mistakes.csv"
SUMMARY = "metrics/dataset/summary.json"  # has the checksums of the images and labels
SCORED = ("models", "predictions")  # the folders in data/ of what gives probabilities
TUNING = "tuning"  # the folder of what describes tunings, not variants

# `accuracy` measures the same, and does not depend on the number of images.
WITHOUT_TOLERANCE = frozenset({"errors"})
N_DECIMALS = 6  # after the decimal point; metrics have no more


@dataclass(frozen=True)
class Change:
    """A parameter, a metric or a cell of a confusion matrix, with its two values.

    Attributes:
        variant: The variant, the tuning, or the file of a parameter that is not in
            params.yaml.
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
        if is_number(self.old) and is_number(self.new):
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


def is_number(value: object) -> bool:
    """Return whether a value is a number, and not True or False."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: float, sign: str = "") -> str:
    """Return a number without trailing zeros.

    Metrics have six decimals; a value with more, as of a parameter, has six digits.

    Args:
        value: The number.
        sign: `+` for a plus sign of a positive number.
    """
    if not sign and abs(value) < 1 and value != round(value, N_DECIMALS):
        return f"{value:g}"
    rounded = f"{value:{sign}.{N_DECIMALS}f}".rstrip("0").rstrip(".")
    return rounded if float(rounded) or not value else f"{value:{sign}g}"


@dataclass(frozen=True, order=True)
class Missing:
    """A result of a variant that a revision has, without this result."""

    variant: str
    path: str
    revision: str


@contextmanager
def repository() -> Iterator[Any]:
    """Yield DVC's `Repo` of this folder.

    Raises:
        InputError: If DVC fails.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 (slow to import)
    from dvc.scm import RevError  # noqa: PLC0415

    logging.getLogger("dvc").setLevel(logging.ERROR)  # what it warns of is raised here
    try:
        with open_repo() as repo:
            yield repo
    except (DvcException, RevError) as error:
        raise InputError(" ".join(str(error).split())) from error


def unreadable(path: str, revision: str, reason: object) -> InputError:
    """Return the error for a damaged result."""
    cause = " ".join(str(reason).split())
    return InputError(
        f"{path} in {revision}: cannot be read ({cause}); `dvc repro` regenerates it"
    )


def parameters(repo: Any, pair: tuple[str, str]) -> list[Change]:
    """Return the changed parameters of two revisions, sorted by name.

    Those in tuning/stages.yaml are left out: they repeat params.yaml.
    """
    found = repo.params.diff(*pair).get("diff", {})
    return [
        Change("" if path == "params.yaml" else path, name, value["old"], value["new"])
        for path, values in sorted(found.items())
        if not _is_of_tuning(path)
        for name, value in sorted(values.items())
    ]


@dataclass(frozen=True)
class Side:
    """One of two revisions that are compared.

    Attributes:
        name: As the user named it.
        commit: The hash of its commit; None for the working tree.
        results: The results of its variants.
        checksums: The SHA-256 of the images and labels of each pipeline, by its folder and
            the name of the array; empty if they are not recorded.
    """

    name: str
    commit: str | None
    results: Mapping[str, Result]
    checksums: Mapping[PurePath, Mapping[str, str]]


@dataclass(frozen=True)
class Unpaired:
    """A variant whose results in two revisions cannot be compared image by image.

    Attributes:
        variant: Its name.
        revision: The one that has no list of mistakes; None if the test images differ.
    """

    variant: str
    revision: str | None


@dataclass(frozen=True)
class Found:
    """What differs between two revisions.

    Attributes:
        sides: The older and the newer revision.
        parameters: The changed parameters.
        metrics: The changed metrics of variants.
        comparisons: Of each variant with the same test images, image by image.
        unpaired: The variants that cannot be compared in this way.
        mistakes: The changed cells of the confusion matrices.
        tuning: The changed results of tunings.
        missing: The results that a revision lacks.
    """

    sides: tuple[Side, ...] = ()
    parameters: list[Change] = field(default_factory=list)
    metrics: list[Change] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)
    mistakes: list[Change] = field(default_factory=list)
    tuning: list[Change] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether any of it is a difference."""
        changed = self.parameters or self.metrics or self.mistakes or self.tuning
        return bool(changed) or any(not c.is_of_equals for c in self.comparisons)


@dataclass
class Metrics:
    """The metrics of two revisions.

    Attributes:
        changed: The changed metrics of variants, by variant and name.
        tuning: The changed results of tunings, by tuning and name.
        missing: The metrics of variants that a revision declares, and does not have.
        declared: The paths of the metrics of variants that each of the two declares.
    """

    changed: list[Change]
    tuning: list[Change]
    missing: set[Missing]
    declared: tuple[set[str], ...]


def metrics(repo: Any, pair: tuple[str, str]) -> Metrics:
    """Return the metrics of two revisions.

    Raises:
        InputError: If one can't be read or is not a finite number, or if the direction of a
            metric in the newer revision is not declared.
    """
    # unlike `dvc metrics diff`, this also returns errors, and what did not change
    found = repo.metrics.diff(*pair, all=True)
    missing = set(_missing(found.get("errors", {})))
    changed: list[Change] = []
    tuning: list[Change] = []
    declared = tuple({m.path for m in missing if m.revision == name} for name in pair)
    for path, values in found.get("diff", {}).items():
        changes = [
            Change(variant_of(path), name, value["old"], value["new"])
            for name, value in values.items()
        ]
        different = [change for change in changes if change.old != change.new]
        if _is_of_tuning(path):
            tuning += different
            continue
        for change in different:
            _check(path, change)
        changed += different
        if any(change.old is not None for change in changes):
            declared[0].add(path)
        if any(change.new is not None for change in changes):
            declared[1].add(path)
    by_name = attrgetter("variant", "name")
    return Metrics(
        sorted(changed, key=by_name), sorted(tuning, key=by_name), missing, declared
    )


def _missing(errors: dict[str, Any]) -> Iterator[Missing]:
    """Yield the metrics of variants that are missing; `errors` is by revision.

    Raises:
        InputError: If one is there and can't be read, or a whole revision can't.
    """
    for revision, of_revision in errors.items():
        if not isinstance(of_revision, dict):
            raise InputError(f"{revision}: {' '.join(str(of_revision).split())}")
        for path, error in of_revision.items():
            if not isinstance(error, FileNotFoundError):
                raise unreadable(path, revision, error)
            if not _is_of_tuning(path):  # a tuning runs only when asked for
                yield Missing(variant_of(path), path, revision)


def _check(path: str, change: Change) -> None:
    """Raise `InputError` if a metric is no finite number, or its direction is unknown."""
    for given in (change.old, change.new):
        finite = is_number(given) and math.isfinite(given)
        if given is not None and not finite:
            raise InputError(f"{path}: {change.name} is {given!r}")
    if change.name not in METRICS and change.new is not None:
        raise InputError(
            f"{path}: whether a higher or a lower {change.name} is better is undeclared; "
            f'add {change.name}="higher" or "lower" to @directions at the function that '
            "computes it, in digits/metrics.py"
        )


def _is_of_tuning(path: str) -> bool:
    return PurePath(path).parent.name == TUNING


def variant_of(path: str) -> str:
    """Return the variant of `metrics/<variant>.json`, after the folder of its pipeline.

    Of `tuning/<name>.json` it returns the tuning.
    """
    return (PurePath(path).parent.parent / PurePath(path).stem).as_posix()


def results(
    repo: Any, revision: str, declared: Iterable[str]
) -> tuple[dict[str, Result], set[Missing]]:
    """Return the results of variants in a revision, and the matrices that are missing.

    Args:
        repo: DVC's `Repo`.
        revision: A revision, or `workspace`.
        declared: The paths of their metrics, `metrics/<variant>.json`.

    Raises:
        InputError: If one can't be read.
    """
    found, missing = {}, set()
    locks: dict[PurePath, dict[str, str]] = {}
    with repo.switch(revision):
        for path in sorted(declared):
            variant, folder = variant_of(path), PurePath(path).with_suffix("")
            root = folder.parent.parent
            if root not in locks:
                locks[root] = _recorded(repo, root / pipeline.LOCK)
            matrix, mistakes = (f"{folder}/{name}" for name in (CONFUSION, MISTAKES))
            try:
                counts = paired.read_counts(_text(repo, matrix))
            except FileNotFoundError:
                missing.add(Missing(variant, matrix, revision))
                continue
            except (OSError, ValueError) as error:
                raise unreadable(matrix, revision, error) from error
            try:
                wrong = paired.read_mistakes(_text(repo, mistakes), counts)
            except FileNotFoundError:
                wrong = None  # the revision is older than this file
            except (OSError, ValueError) as error:
                raise unreadable(mistakes, revision, error) from error
            model, predictions = (
                _at_hand(repo, root / name, locks[root].get(name, ""))
                for name in (f"data/{kind}/{folder.name}.npz" for kind in SCORED)
            )
            stored = (model, predictions) if model and predictions else None
            found[variant] = Result(counts, wrong, stored)
    return found, missing


def folder_of(variant: str) -> PurePath:
    """Return the folder of a variant's pipeline, relative to that of the command."""
    return PurePath(variant).parent


def checksums(repo: Any, revision: str, folder: PurePath) -> dict[str, str]:
    """Return the SHA-256 of the images and labels of a pipeline in a revision.

    Args:
        repo: DVC's `Repo`.
        revision: A revision, or `workspace`.
        folder: The folder of the pipeline.

    Returns:
        By the names of the arrays: `x_train`, `y_train`, `x_test`, `y_test`. Empty if they
        are not recorded.
    """
    with repo.switch(revision):
        try:
            found = json.loads(_text(repo, folder / SUMMARY))["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
    return found if isinstance(found, dict) else {}


def have_other_images(older: Mapping[str, str], newer: Mapping[str, str]) -> bool:
    """Return whether the test images or their labels are known to be others.

    Args:
        older: The checksums in the older revision.
        newer: Those in the newer one.
    """
    both = older.keys() & newer.keys() & {"x_test", "y_test"}
    return any(older[name] != newer[name] for name in both)


def commit(repo: Any, revision: str) -> str | None:
    """Return the hash of a revision's commit; None for the working tree."""
    from dvc.scm import resolve_rev  # noqa: PLC0415 (slow to import)

    return None if revision == WORKSPACE else resolve_rev(repo.scm, revision)


def mistakes(older: Mapping[str, Result], newer: Mapping[str, Result]) -> list[Change]:
    """Return the changed cells of the confusion matrices off the diagonal.

    A matrix with other classes in the other revision is left out.

    Args:
        older: The results of the older revision, by variant.
        newer: Those of the newer one.

    Returns:
        The changes by variant, the largest first.
    """
    changes = [
        Change(variant, " predicted as ".join(cell), count, after[cell])
        for variant in older.keys() & newer.keys()
        for before, after in [(older[variant].counts, newer[variant].counts)]
        if before.keys() == after.keys()
        for cell, count in before.items()
        if count != after[cell]
        if len(set(cell)) > 1  # the actual class and another, predicted one
    ]
    changes.sort(key=lambda c: (c.variant, -abs(c.difference or 0), c.name))
    return changes


def compare(repo: Any, pair: tuple[str, str], level: float) -> Found:
    """Return what differs between two revisions.

    Args:
        repo: DVC's `Repo`.
        pair: The two revisions.
        level: The largest p-value of a clear difference.

    Raises:
        InputError: If a result can't be read.
    """
    found = metrics(repo, pair)
    missing, sides = set(found.missing), []
    for revision, declared in zip(pair, found.declared, strict=True):
        of_revision, without = results(repo, revision, declared)
        missing |= without
        folders = sorted({*map(folder_of, of_revision)})
        sides.append(
            Side(
                name=revision,
                commit=commit(repo, revision),
                results=of_revision,
                checksums={folder: checksums(repo, revision, folder) for folder in folders},
            )
        )
    older, newer = sides
    pairs, unpaired = {}, []
    for variant in sorted(older.results.keys() & newer.results.keys()):
        two = older.results[variant], newer.results[variant]
        folder = folder_of(variant)
        data = older.checksums[folder], newer.checksums[folder]
        lacking = [
            revision
            for revision, result in zip(pair, two, strict=True)
            if result.mistakes is None
        ]
        if have_other_images(*data) or not paired.have_same_images(*two):
            unpaired.append(Unpaired(variant, None))
        elif lacking:
            unpaired += [Unpaired(variant, revision) for revision in lacking]
        else:
            pairs[variant] = two
    return Found(
        sides=(older, newer),
        parameters=parameters(repo, pair),
        metrics=found.changed,
        comparisons=paired.compare(pairs, level),
        unpaired=unpaired,
        mistakes=mistakes(older.results, newer.results),
        tuning=found.tuning,
        missing=sorted(missing),
    )


def _text(repo: Any, path: str | PurePath) -> str:
    """Return a text file of the revision to which DVC was switched."""
    from dvc.fs import LocalFileSystem  # noqa: PLC0415 (slow to import)

    if isinstance(repo.fs, LocalFileSystem):
        return regular.text(Path(path))
    with repo.fs.open(str(path), encoding="utf-8") as file:
        return file.read()


def _recorded(repo: Any, lock: PurePath) -> dict[str, str]:
    """Return the MD5 of each result in dvc.lock, by path; none if it cannot be read."""
    try:
        return pipeline.hashes(_text(repo, lock))
    except (OSError, ValueError):
        return {}


def _at_hand(repo: Any, path: PurePath, md5: str) -> Path | None:
    """Return where a result with this MD5 is: in the cache, or in the working tree."""
    cached = Path(repo.cache.local.path, md5[:2], md5[2:])
    for candidate in (cached, Path(path)):
        if candidate.is_file():
            with candidate.open("rb") as file:
                digest = hashlib.file_digest(
                    file, partial(hashlib.md5, usedforsecurity=False)
                )
            if digest.hexdigest() == md5:
                return candidate
    return None
