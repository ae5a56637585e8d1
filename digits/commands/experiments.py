"""List experiments with their changed parameters and metrics, the best first.

Experiments come from `dvc exp run`, directly or from the queue. Each is compared with the
commit that it started from, and only the variants that it changed are shown.
`dvc exp show` shows everything.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from digits.commands.compare import number
from digits.errors import InputError, printable
from digits.locks import open_repo
from digits.metrics import METRICS
from digits.pipeline import refuse_foreign_repository

EXAMPLES = """\
examples:
  dvc exp run -S variants.multinomial.train.C=0.1    try a value
  digits experiments                                 the experiments since the last commit
  digits experiments --sort log_loss                 the lowest log loss first
  digits experiments --variant lenet5 --all          of one variant, from all commits

exit status: 0; 2 if DVC cannot list the experiments
"""
STATUS = 2  # of a user's mistake

HINTS = """\
keep one:    dvc exp apply NAME (to the working tree), dvc exp branch NAME BRANCH
remove one:  dvc exp remove NAME
"""

SHOWN = ("accuracy", "log_loss", "rmse")
N_COLUMNS = 100
MIN_CHANGES_WIDTH = 20  # width of the changes, however wide the other columns are

Values = dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """An experiment: its changes and its results.

    Attributes:
        name: As DVC names it.
        base: The commit that it started from.
        state: "done", "failed", "queued" or "running".
        changed: Each parameter with its old and its new value, None if it has none. `code`
            and `data/own` stand for files that changed.
        metrics: The metrics of each variant that it changed; empty unless it is done.
    """

    name: str
    base: str
    state: str
    changed: dict[str, tuple[Any, Any]]
    metrics: dict[str, Values]


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


def base_revisions() -> set[str]:
    """Return HEAD and the commits that experiments started from.

    `dvc exp show --all-commits` reads all commits of the repository, each for a second.

    Raises:
        InputError: If DVC fails.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 (slow to import)
    from dvc.repo.experiments.utils import exp_refs  # noqa: PLC0415

    try:
        with open_repo() as repo:
            queue = repo.experiments.celery_queue
            failed = (done.entry for done in queue.iter_failed())
            entries = (*queue.iter_active(), *queue.iter_queued(), *failed)
            stored = {ref.baseline_sha for ref in exp_refs(repo.scm)}
            return {"HEAD"} | stored | {entry.baseline_rev for entry in entries}
    except DvcException as error:
        raise InputError(f"DVC cannot list the experiments: {error}") from error


def flat(value: Any, path: str = "") -> Values:
    """Return a nested mapping as a flat one with dotted names."""
    if not isinstance(value, dict) or not value:
        return {path: value} if path else {}
    inner = (flat(part, f"{path}.{key}".lstrip(".")) for key, part in value.items())
    return {key: part for found in inner for key, part in found.items()}


def parse(bases: list[dict[str, Any]]) -> Iterator[Experiment]:
    """Yield the experiments in what `dvc exp show --json` prints, each once."""
    for base in bases:
        found: dict[str, Experiment] = {}
        for entry in base.get("experiments") or []:
            last = entry["revs"][0]
            name = entry["name"] or last["name"] or last["rev"][:7]
            state = (entry["executor"] or {}).get("state") or "success"
            if last["error"]:
                state = "failed"
            experiment = _experiment(
                name, base, last, "done" if state == "success" else state
            )
            # DVC lists an experiment twice while it is storing it.
            if name not in found or experiment.state == "done":
                found[name] = experiment
        yield from found.values()


def _experiment(
    name: str, base: dict[str, Any], last: dict[str, Any], state: str
) -> Experiment:
    was, now = base["data"] or {}, last["data"] or {}
    title = base["name"] or base["rev"][:7]
    old, new = (flat(_params(data)) for data in (was, now))
    changed = {
        key: (old.get(key), new.get(key))
        for key in dict.fromkeys((*old, *new))
        if new and old.get(key) != new.get(key)
    }
    variants = {key.split(".")[1] for key in changed if key.startswith("variants.")}
    before, after = _metrics(was), _metrics(now) if state == "done" else {}
    metrics = {
        variant: values
        for variant, values in after.items()
        if variant in variants or values != before.get(variant)
    }
    deps, other = (data.get("deps") or {} for data in (was, now))
    for path in other:
        # The commit has no hash if nothing was run there.
        if path in deps and deps[path]["hash"] not in (None, other[path]["hash"]):
            if PurePath(path).is_relative_to("data/own"):
                changed["data/own"] = (None, None)
            elif not PurePath(path).is_relative_to("data") and path != "params.yaml":
                changed["code"] = (None, None)
    return Experiment(name, title, state, changed, metrics)


def _params(data: dict[str, Any]) -> Values:
    """Return the parameters; those of other files than params.yaml by the file's name."""
    files = (data.get("params") or {}).items()
    found = {name: file["data"] for name, file in files if "data" in file}
    return {**found.pop("params.yaml", {}), **found}


def _metrics(data: dict[str, Any]) -> dict[str, Values]:
    files = (data.get("metrics") or {}).items()
    of_variants = ((PurePath(name), file) for name, file in files if "data" in file)
    return {
        path.stem: file["data"] for path, file in of_variants if path.parts[0] == "metrics"
    }


def short_names(names: set[str]) -> dict[str, str]:
    """Return the shortest ending of each dotted name that no other name has."""
    endings = {name: name.split(".") for name in names}
    counts = Counter(
        ".".join(parts[-n:]) for parts in endings.values() for n in range(1, len(parts) + 1)
    )
    return {
        name: next(
            ending
            for n in range(1, len(parts) + 1)
            if counts[ending := ".".join(parts[-n:])] == 1 or n == len(parts)
        )
        for name, parts in endings.items()
    }


def changes(experiment: Experiment, names: dict[str, str]) -> str:
    """Return a short text of what an experiment changed."""
    said = {}
    for key, (old, new) in experiment.changed.items():
        if (old, new) == (None, None):
            said[key] = key
        elif old is None or new is None:
            block = ".".join(key.split(".")[:2])
            said[block] = f"{'+' if old is None else '-'}{block.rpartition('.')[2]}"
    for key, (old, new) in experiment.changed.items():
        if old is not None and new is not None:
            said[key] = f"{names[key]}={new:g}" if _is_float(new) else f"{names[key]}={new}"
    return ", ".join(said.values()) or ("?" if experiment.state == "running" else "nothing")


def _is_float(value: object) -> bool:
    return isinstance(value, float)


def ordered(experiments: list[Experiment], metric: str) -> list[Experiment]:
    """Return the finished experiments, the best by a metric first, then all others."""
    sign = -1 if METRICS[metric] == "higher" else 1

    def key(experiment: Experiment) -> tuple[bool, float, str]:
        scores = [sign * v[metric] for v in experiment.metrics.values() if metric in v]
        return not scores, min(scores, default=0.0), experiment.state

    return sorted(experiments, key=key)


def table(experiments: list[Experiment], metric: str) -> str:
    """Return a table of width `N_COLUMNS`, with a row for each variant of an experiment."""
    names = short_names({key for e in experiments for key in e.changed})
    have = {k for e in experiments for values in e.metrics.values() for k in values}
    columns = [name for name in dict.fromkeys((metric, *SHOWN)) if name in have]
    several = len({e.base for e in experiments}) > 1
    rows = [("experiment", *["from"] * several, "changed", "variant", *columns)]
    for experiment in experiments:
        first = (experiment.name, *[experiment.base] * several, changes(experiment, names))
        results = [
            (variant, *(number(values[name]) if name in values else "" for name in columns))
            for variant, values in experiment.metrics.items()
        ]
        what = experiment.state if experiment.state != "done" else "no variant changed"
        for i, cells in enumerate(results or [(f"({what})", *[""] * len(columns))]):
            rows.append((*(first if i == 0 else [""] * len(first)), *cells))
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    long = 1 + several
    over = sum(widths) + 2 * (len(widths) - 1) - N_COLUMNS
    if over > 0:
        widths[long] = max(MIN_CHANGES_WIDTH, widths[long] - over)
    return "\n".join(
        "  ".join(
            _cut(cell, width).rjust(width)
            if i > long + 1
            else _cut(cell, width).ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"


def example(bases: list[dict[str, Any]]) -> str:
    """Return a command that tries another value of the first numeric parameter."""
    parameters = flat(_params((bases[0]["data"] if bases else None) or {}))
    for key, value in parameters.items():
        if key.startswith("variants.") and isinstance(value, (int, float)):
            return f"dvc exp run --temp -S {key}={2 * value:g}"
    return "dvc exp run --temp -S PARAMETER=VALUE"


def show(metric: str, variant: str | None, *, everywhere: bool, as_json: bool) -> None:
    """Print the experiments.

    Args:
        metric: The metric to sort by.
        variant: Show only this one; None: all.
        everywhere: Whether to list experiments of all commits.
        as_json: Whether to print JSON.

    Raises:
        InputError: If the metric or the variant is unknown, or DVC fails.
    """
    if metric not in METRICS:
        raise InputError(f"there is no metric {metric!r}; there are {', '.join(METRICS)}")
    refuse_foreign_repository(Path())
    selected = (f"--rev={rev}" for rev in sorted(base_revisions())) if everywhere else ()
    bases: Any = dvc("exp", "show", *selected)
    found = [*parse(bases)]
    if variant is not None:
        known = {name for base in bases for name in _metrics(base["data"] or {})}
        known |= {name for e in found for name in e.metrics}
        if variant not in known:
            raise InputError(
                f"there is no variant {variant!r}; there are {', '.join(sorted(known))}"
            )
        found = [
            replace(e, metrics={k: v for k, v in e.metrics.items() if k == variant})
            for e in found
            if variant in e.metrics
            or any(key.startswith(f"variants.{variant}.") for key in e.changed)
        ]
    found = ordered(found, metric)
    if as_json:
        print(json.dumps([asdict(e) for e in found], indent=2))
    elif found:
        print(table(found, metric), HINTS, sep="\n\n", end="")
        if any(e.state == "failed" for e in found):
            print("see why:     dvc queue logs NAME")
    else:
        since = "" if everywhere else " since the last commit (--all lists older ones)"
        print(f"no experiments{since}; for example: {example(bases)}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument(
        "--sort",
        default="accuracy",
        metavar="METRIC",
        help="sort by this metric, the best first",
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="only experiments that changed this variant"
    )
    parser.add_argument(
        "--all", action="store_true", help="experiments of all commits, not only of HEAD"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Print the table, and return the exit status."""
    show(
        arguments.sort,
        arguments.variant,
        everywhere=arguments.all,
        as_json=arguments.json,
    )
    return 0
