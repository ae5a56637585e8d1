"""Choose parameters by cross-validation on the training images; apply the choice.

Without a name it lists the tunings of params.yaml. With names it runs them with DVC
(`dvc repro check`, then `dvc repro tuning/dvc.yaml:tune@NAME`) and prints what each value
reached. With --scheduler, or if DIGITS_SCHEDULER is set, the fits run on a Dask cluster
(docs/cluster.md); the result is the same. With --apply it writes the best values of a
tuning that has run into params.yaml, and changes nothing else there.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from digits import cluster, pipeline
from digits.config import cli, params
from digits.config.edit import Key, set_values, written
from digits.config.params import Params, Variant
from digits.config.tuning import THRESHOLDS, Tuning
from digits.data import files, regular
from digits.errors import InputError
from digits.tuning.choice import Row, Table, named, parameters, text

EXAMPLES = """\
examples:
  digits tune                                    list the tunings
  digits tune multinomial_C                      run one, and show what each value reached
  digits tune --all                              run all
  digits tune --all --scheduler tcp://head:8786  on a Dask cluster
  digits tune --apply multinomial_C              write the best value into params.yaml
  digits tune --apply --simplest multinomial_C   the simplest within one standard error

exit status: 0; that of DVC if it fails; 2 if a name is unknown, or nothing can be applied
"""
STATUS = 2  # of a user's mistake

FOLDER = Path("tuning")
LOCK = FOLDER / pipeline.LOCK
MEASURES = ("accuracy", "log_loss")
CLEAR = 2  # from so many standard errors, a difference is called clear


def result(root: Path, name: str) -> Table:
    """Read the table of a tuning.

    Raises:
        InputError: It is missing or damaged.
    """
    path = root / FOLDER / name / "values.csv"
    try:
        rows = [*csv.DictReader(regular.text(path).splitlines(), restval="")]
    except FileNotFoundError as error:
        raise _to_run(f"{path} is missing", name) from error
    except (OSError, ValueError, csv.Error) as error:
        raise _to_run(f"{path} cannot be read ({error})", name) from error
    if not rows or not set(MEASURES) <= rows[0].keys():
        raise _to_run(f"{path} is not a table of candidates", name)
    return [{key: _value(cell) for key, cell in row.items()} for row in rows]


def _value(cell: str) -> Any:
    """Return the value in a cell: JSON, otherwise text."""
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _to_run(problem: str, name: str) -> InputError:
    return InputError(f"{problem}; run `digits tune {name}`")


def outdated(root: Path, checked: Params, name: str) -> str | None:
    """Return why the result of a tuning is not that of the parameters, data and code.

    Data that is not there, as in a clone, is not compared.

    Returns:
        The reason; None if the result is up to date.
    """
    from digits.commands.verify import md5  # noqa: PLC0415 (slow to import, as DVC is)
    from digits.data.ignore import Ignored  # noqa: PLC0415

    lock = root / LOCK
    stages = (pipeline.read(lock).get("stages") or {}) if lock.exists() else {}
    if f"tune@{name}" not in stages:
        return f"tuning {name} has not run"
    record = stages[f"tune@{name}"]
    block = checked.tuning_block(name)
    was = ((record.get("params") or {}).get("stages.yaml") or {}).get(f"tunings.{name}", {})
    if changed := [key for key in {**was, **block} if was.get(key) != block.get(key)]:
        return f"the result of tuning {name} is of another {' and another '.join(changed)}"
    for kind in ("deps", "outs"):
        for entry in record.get(kind, []):
            path = root / FOLDER / entry["path"]
            if kind == "deps" and not path.exists():
                continue
            if md5(path, Ignored(root)) != entry.get("md5"):
                where = path.resolve().relative_to(root.resolve())
                return f"{where} is not that of {LOCK}"
    return None


def overview(root: Path, checked: Params) -> Iterator[tuple[str, ...]]:
    """Yield a row of text for each tuning, after the heading."""
    yield "tuning", "variant", "grid (values)", "fits", "best", "simplest", "result"
    for name, tuning in checked.tuning.items():
        grid = ", ".join(f"{key} ({len(v)})" for key, v in tuning.lists.items())
        reason = outdated(root, checked, name)
        found = {"best": "", "simplest": ""}
        if (root / FOLDER / name / "values.csv").exists():
            for row in result(root, name):
                for choice in filter(None, row["choice"].split(", ")):
                    found[choice] = named(row, parameters(row))
        state = "out of date" if any(found.values()) else "none"
        yield (
            name, tuning.variant, grid, str(n_fits(tuning)), found["best"],
            found["simplest"], state if reason else "up to date",
        )  # fmt: skip


def n_fits(tuning: Tuning) -> int:
    """Return how many models are fitted; thresholds need no other fit."""
    blocks = {
        json.dumps({key: v for key, v in candidate.items() if key not in THRESHOLDS})
        for candidate in tuning.candidates()
    }
    return tuning.folds * len(blocks)


def summary(checked: Params, name: str, table: Table) -> str:
    """Return what each candidate reached, what is best, and how the variant compares."""
    tuning = checked.tuning[name]
    keys = parameters(table[0])
    measures = [key for key in MEASURES if any(row[key] != "" for row in table)]
    heading = (*keys, *(key.replace("_", " ") for key in measures), "")
    rows = [
        (
            *(text(row[key]) for key in keys),
            *(f"{row[key]:.5f} ± {row[f'{key}_se']:.5f}" for key in measures),
            row["choice"],
        )
        for row in table
    ]
    title = f"{name}: {tuning.variant}, mean of {tuning.folds} folds ± one standard error"
    return "\n".join((title, *aligned([heading, *rows]), *sentences(checked, name, table)))


def aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose columns are aligned."""
    rows = [*rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def sentences(checked: Params, name: str, table: Table) -> Iterator[str]:
    """Yield what is best, what is simplest, and how the variant's own values compare."""
    tuning = checked.tuning[name]
    measure = tuning.measure.replace("_", " ")
    keys = parameters(table[0])
    yield f"The best {measure}: {named(chosen(table, 'best'), keys)}."
    if simplest := chosen(table, "simplest"):
        yield f"The simplest within one standard error of it: {named(simplest, keys)}."
    variant = checked.variants[tuning.variant]
    now = {key: current(variant, key) for key in keys}
    own = next((row for row in table if values_of(variant, row) == now), None)
    if own is None:
        yield f"{tuning.variant} has {named(now, keys)}, which was not tried."
    elif own is chosen(table, "best"):
        yield f"{tuning.variant} has it already."
    elif not own["worse_by"]:
        yield f"{tuning.variant} has {named(now, keys)}, whose {measure} is the same."
    else:
        worse = "lower" if tuning.measure == "accuracy" else "higher"
        by, error = own["worse_by"], own["worse_by_se"]
        clear = "a clear difference" if by > CLEAR * error else "no clear difference"
        yield (
            f"{tuning.variant} has {named(now, keys)}: its {measure} is {worse} by "
            f"{by:.5f} ± {error:.5f} in the same folds, {clear}."
        )


def chosen(table: Table, kind: str) -> Row:
    """Return the row that is `best` or `simplest`; an empty one if none is."""
    return next((row for row in table if kind in row["choice"].split(", ")), {})


def _block(key: str) -> str:
    """Return the block of a variant that has a parameter."""
    return "evaluate" if key in THRESHOLDS else "train"


def current(variant: Variant, key: str) -> Any:
    """Return the value of a parameter of a variant."""
    value = getattr(getattr(variant, _block(key)), key)
    return [*value] if isinstance(value, tuple) else value


def values_of(variant: Variant, row: Row) -> dict[str, Any]:
    """Return the parameters in a row with the types that the variant's blocks have."""
    keys = parameters(row)
    changed = variant.with_values({key: row[key] for key in keys})
    return {key: current(changed, key) for key in keys}


def apply(root: Path, name: str, kind: str) -> None:
    """Write the chosen values into params.yaml, and print what changed.

    Args:
        root: The folder of the project.
        name: The tuning.
        kind: `best` or `simplest`.

    Raises:
        InputError: The tuning has no result for the parameters, the data and the code; or
            the values cannot be changed alone.
    """
    from digits import locks  # noqa: PLC0415 (DVC, slow to import)

    path = root / "params.yaml"
    with locks.exclusive(root):
        checked = params.load(path)
        if reason := outdated(root, checked, name):
            raise _to_run(reason, name)
        row = chosen(result(root, name), kind)
        if not row:
            raise InputError(
                f"tuning {name} has no simplest value, because no threshold is simpler "
                "than another; leave --simplest out"
            )
        variant_name = checked.tuning[name].variant
        variant = checked.variants[variant_name]
        new = values_of(variant, row)
        changes: dict[Key, tuple[Any, Any]] = {
            ("variants", variant_name, _block(key), key): (current(variant, key), value)
            for key, value in new.items()
        }
        changed = {key: new for key, (old, new) in changes.items() if old != new}
        if changed:
            old_text = path.read_bytes().decode()
            with files.replacing(path) as temporary:
                changed_text = set_values(old_text, changed)
                temporary.write_text(changed_text, "utf-8", newline="")
                params.load(temporary)
    for key, (old, value) in changes.items():
        where = f"{path}: {'.'.join(key)}"
        if key in changed:
            print(f"{where}: {written(old)} is now {written(value)}")
        else:
            print(f"{where} is already {written(value)}, the {kind} value")
    if changed:
        print(cli.commands_for(root, "next: `dvc repro`, then `dvc metrics diff`"))


def run(root: Path, names: Sequence[str], scheduler: str) -> int:
    """Run tunings with DVC, and return its exit status.

    DVC reads tuning/stages.yaml before a stage runs, so `check`, which writes it, is first.

    Args:
        root: The folder of the project.
        names: The tunings.
        scheduler: The address of a Dask cluster's scheduler; empty: on this machine.
    """
    targets = [f"{FOLDER / 'dvc.yaml'}:tune@{name}" for name in names]
    return _dvc(root, scheduler, "check") or _dvc(root, scheduler, *targets)


def _dvc(root: Path, scheduler: str, *targets: str) -> int:
    """Run `dvc repro` in a folder with this terminal, and return its exit status.

    Ctrl-C goes to DVC as well, and this process waits until it has ended.
    """
    command = (sys.executable, "-m", "dvc", "repro", *targets)
    environment = os.environ | {cluster.VARIABLE: scheduler}
    sys.stdout.flush()
    with subprocess.Popen(command, cwd=root, env=environment) as process:  # noqa: S603 (DVC; no shell)
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def selected(checked: Params, names: Sequence[str], *, every: bool) -> list[str]:
    """Return the tunings that are meant, each once.

    Raises:
        InputError: A name is unknown.
    """
    for name in names:
        if name not in checked.tuning:
            near = get_close_matches(name, checked.tuning, n=1)
            known = ", ".join(checked.tuning) or "none"
            hint = f"did you mean {near[0]}?" if near else f"there are: {known}"
            raise InputError(f"there is no tuning {name} in params.yaml; {hint}")
    return [*(checked.tuning if every else dict.fromkeys(names))]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="a tuning of params.yaml")
    parser.add_argument("--all", action="store_true", help="all tunings")
    parser.add_argument(
        "--apply",
        action="store_true",
        help="write the best values into params.yaml, instead of running the tuning",
    )
    parser.add_argument(
        "--simplest",
        action="store_true",
        help="with --apply: the simplest values within one standard error of the best",
    )
    cli.add_scheduler(parser)
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """List, run or apply, and return the exit status."""
    root = arguments.root
    with cli.commands_act_on(root):
        checked = params.load(root / "params.yaml")
        names = selected(checked, arguments.names, every=arguments.all)
        if arguments.simplest and not arguments.apply:
            raise InputError("--simplest needs --apply")
        if arguments.apply:
            if not names:
                raise InputError("name the tuning to apply")
            for name in names:
                apply(root, name, "simplest" if arguments.simplest else "best")
        elif names:
            if status := run(root, names, cluster.named(arguments.scheduler)):
                return status
            for name in names:
                print(f"\n{summary(checked, name, result(root, name))}")
            then = "to write the best into params.yaml: `digits tune --apply NAME`"
            print(f"\n{cli.commands_for(root, then)}")
        elif checked.tuning:
            print(*aligned(overview(root, checked)), sep="\n")
        else:
            print("params.yaml has no block `tuning`; docs/tuning.md has an example")
    return 0
