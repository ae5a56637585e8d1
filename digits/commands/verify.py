"""Hash every result in dvc.lock and its cache objects again, and compare.

DVC trusts a cache object that is read-only, and a file whose time and size have not
changed. This command reads every byte of them. It does not read what only other commits
use: run it again after `git checkout COMMIT` and `dvc checkout`.
"""

import argparse
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.utils import dict_sha256
from dvc.utils.serialize import parse_yaml

from digits import locks
from digits.config import cli, fingerprint
from digits.data import files
from digits.data.ignore import NOTHING, Ignored
from digits.errors import InputError
from digits.pipeline import LOCK, Pipeline, restore

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  digits verify                  list what is damaged or missing
  digits verify --fix            repair it
  digits verify --in published   the results of the published table

exit status: 0 if everything matches dvc.lock; 1 if not; 2 if it could not be checked
"""
STATUS = 2  # of a user's mistake


class Out(NamedTuple):
    """A result as dvc.lock records it."""

    stage: str
    path: str
    md5: str
    cached: bool  # whether DVC's cache keeps it; otherwise Git does


class Damage(NamedTuple):
    """Damage to a result, or a stage that dvc.lock describes wrongly.

    Attributes:
        stage: The stage that makes the result.
        where: The damaged file.
        what: "missing", "damaged" or "wrong".
        note: An explanation.
        out: The result; None if dvc.lock is wrong.
    """

    stage: str
    where: Path
    what: str
    note: str
    out: Out | None = None


def md5(path: Path, ignored: Ignored = NOTHING) -> str:
    """Return the MD5 of a file, or of a folder as DVC computes it, with `.dir`.

    Args:
        path: A file or a folder.
        ignored: Files in the folder that do not count.
    """
    if path.is_dir():
        return _md5_of_bytes(_listing(path, ignored)) + ".dir"
    if not path.is_file():
        return "not a file"  # no recorded hash equals this
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new).hexdigest()


def _listing(path: Path, ignored: Ignored) -> bytes:
    """Return DVC's cache object of a folder: the MD5 and the path of each file."""
    parts = sorted((p.relative_to(path).parts, md5(p)) for p in ignored.files(path))
    listing = [{"md5": value, "relpath": "/".join(name)} for name, value in parts]
    return json.dumps(listing, sort_keys=True).encode()


def _new() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _md5_of_bytes(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def recorded(root: Path) -> list[Out]:
    """Return the results in dvc.lock, in the order of dvc.yaml.

    Those of a variant that was removed do not count.

    Raises:
        InputError: If dvc.lock is missing or invalid.
    """
    pipeline = Pipeline(root)
    if not (path := root / LOCK).exists():
        raise InputError(f"{path}: is missing, so nothing has run yet; run `dvc repro`")
    return [
        Out(name, out["path"], out["md5"], out["path"] not in in_git)
        for name in pipeline.stages
        if name in pipeline.recorded
        for in_git in [pipeline.in_git(name)]
        for out in pipeline.recorded[name].get("outs", [])
        if "md5" in out  # DVC also reads a dvc.lock that is cut off there
    ]


def check(repo: Any, root: Path) -> list[Damage]:
    """Return and print all differences from dvc.lock, and its wrong stages.

    Args:
        repo: DVC's `Repo`.
        root: The folder of the project.
    """
    damage = [*damages(root, Path(repo.cache.local.path)), *misattributed(repo, root)]
    for one in damage:
        print(f"{one.what:8} {os.path.relpath(one.where)}  ({one.note})")
    return damage


def damages(root: Path, store: Path) -> Iterator[Damage]:
    """Yield all differences from dvc.lock, in the workspace and in the cache.

    Args:
        root: The folder of the project.
        store: The folder of the cache's objects.
    """
    checked: set[str] = set()
    ignored = Ignored(root)
    for out in recorded(root):
        path, note = root / out.path, f"made by {out.stage}"
        if not path.exists():
            yield Damage(out.stage, path, "missing", note, out)
        elif md5(path, ignored) != out.md5:
            yield Damage(out.stage, path, "damaged", note, out)
        if out.cached and out.md5 not in checked:
            checked.add(out.md5)
            for where, what in _objects(store, out.md5):
                yield Damage(out.stage, where, what, note, out)


def _objects(store: Path, value: str) -> Iterator[tuple[Path, str]]:
    """Yield the missing and damaged cache objects of a result."""
    path = store / value[:2] / value[2:]
    if not path.is_file():
        yield path, "missing"
        return
    if _md5_of_bytes(content := path.read_bytes()) != value.removesuffix(".dir"):
        yield path, "damaged"
    elif value.endswith(".dir"):
        for entry in json.loads(content):
            yield from _objects(store, entry["md5"])


def misattributed(repo: Any, root: Path) -> Iterator[Damage]:
    """Yield the stages whose results dvc.lock attributes to the wrong inputs.

    An edit by hand or a merge can cause this, and a processor on which LeNet-5 is trained
    to other bytes. DVC's run cache has the results of each run, and models and predictions
    contain their parameters.

    Args:
        repo: DVC's `Repo`.
        root: The folder of the project.
    """
    for name, stage in Pipeline(root).recorded.items():
        runs = Path(repo.stage_cache.cache_dir, *_run_key(stage)).glob("*")
        complete_runs = (
            run
            for run in runs
            if run.suffix != ".tmp"  # DVC was killed writing it
        )
        recorded_outs = [
            parse_yaml(run.read_text(), run).get("outs") for run in complete_runs
        ]
        reason = ""
        if recorded_outs and stage.get("outs") not in recorded_outs:
            reason = "a run with these inputs gave other results"
        recorded_params = {
            key.rpartition(".")[2]: value
            for values in stage.get("params", {}).values()
            for key, value in values.items()
        }
        for out in stage.get("outs", []):
            made_with = _parameters(root / out["path"])
            if any(
                made_with.get(key, value) != value for key, value in recorded_params.items()
            ):
                reason = f"{out['path']} was made with {json.dumps(made_with)}"
        if reason:
            yield Damage(name, root / LOCK, "wrong", f"{name}: {reason}")


def _run_key(stage: dict[str, Any]) -> tuple[str, str]:
    """Return the folder of DVC's run cache for runs with these inputs."""
    inputs = {**stage, "outs": [out["path"] for out in stage.get("outs", [])]}
    key = dict_sha256(inputs, exclude=["size", "nfiles"])
    return key[:2], key


def _parameters(path: Path) -> dict[str, Any]:
    """Return the parameters that are stored in a result, if any."""
    if path.suffix != ".npz" or not path.is_file():
        return {}
    try:
        contents = files.read_npz(path, ["parameters"], among_others=True)
        return dict(json.loads(str(contents["parameters"])))
    except (OSError, ValueError):
        return {}  # it is damaged, which its hash shows


def repair(repo: Any, root: Path, damage: list[Damage]) -> None:
    """Repair damage from the other copy of the same bytes, otherwise by running the stage.

    Only a stage that runs on the inputs in dvc.lock records a result. Nothing is deleted
    before its replacement exists and was checked.

    Args:
        repo: DVC's `Repo`, whose locks are held.
        root: The folder of the project.
        damage: What `check` returned.
    """
    restore(root)  # without these DVC does not start
    broken = dict.fromkeys(one.out for one in damage if one.out)
    again = dict.fromkeys(one.stage for one in damage if not one.out)
    store = Path(repo.cache.local.path)
    ignored = Ignored(root)
    inputs = Inputs(root)
    for out in broken:
        if out.cached:
            _restore_cache_objects(store, out.md5, root / out.path, ignored)
    for out in broken:
        path = root / out.path
        if out.stage in again or (path.exists() and md5(path, ignored) == out.md5):
            continue
        if out.cached and not any(_objects(store, out.md5)):
            files.remove(path)
            repo.checkout([str(path)], force=True)
        else:
            again[out.stage] = None
    for stage in again:
        if reason := inputs.changed(stage):
            message = f"not repaired: {stage}, because {reason}; `dvc repro` runs it again"
            print(cli.commands_for(root, message))
            continue
        outs = [out for out in broken if out.stage == stage and out.cached]
        with _move_damaged_objects_away(store, outs):
            target = f"{root / 'dvc.yaml'}:{stage}"  # as seen from here
            try:
                repo.reproduce([target], single_item=True, force=True, run_cache=False)
            except DvcException as error:
                print(f"{stage} cannot run: {error}")


@contextmanager
def _move_damaged_objects_away(store: Path, outs: list[Out]) -> Iterator[None]:
    """Move damaged cache objects away, and back unless they were written again.

    DVC does not replace an object that is read-only, whatever is in it:
    https://github.com/treeverse/dvc/issues/5978.
    """
    moved = {}
    for path, what in [item for out in outs for item in _objects(store, out.md5)]:
        if what == "damaged":
            moved[path] = path.rename(path.with_name(f".tmp-{os.getpid()}-{path.name}"))
    yield
    for path, aside in moved.items():
        if path.exists():
            aside.unlink()
        else:
            aside.rename(path)


def _restore_cache_objects(store: Path, value: str, path: Path, ignored: Ignored) -> None:
    """Write missing and damaged cache objects if `path` has their bytes.

    Args:
        store: The folder of the cache's objects.
        value: The MD5 of the result.
        path: The result in the workspace.
        ignored: Files in a folder that do not count.
    """
    contents: dict[str, Path | bytes] = {}
    if path.is_dir():
        contents = {md5(file): file for file in ignored.files(path)}
        listing = _listing(path, ignored)
        contents[f"{_md5_of_bytes(listing)}.dir"] = listing
    elif path.is_file():
        contents = {md5(path): path}
    for _ in range(2):  # the content of a folder is known once its own object is repaired
        for target, _what in list(_objects(store, value)):
            content = contents.get(target.parent.name + target.name)
            if content is None:
                continue
            with files.replacing(target) as temporary:
                whole = content if isinstance(content, bytes) else content.read_bytes()
                temporary.write_bytes(whole)
                temporary.chmod(0o444)  # as DVC marks cache objects


class Inputs:
    """The inputs of the stages: in dvc.lock, and now."""

    def __init__(self, root: Path) -> None:
        """Read dvc.lock.

        Raises:
            InputError: If it can't be read.
        """
        self.pipeline = Pipeline(root)
        self.makers = {out.path: out.stage for out in recorded(root)}
        self.ignored = Ignored(root)

    def changed(self, stage: str) -> str | None:
        """Return the first changed input of this stage or those before it, as text."""
        record = self.pipeline.recorded[stage]
        return next(
            chain(
                filter(None, map(self._changed_dep, record.get("deps", []))),
                (
                    f"{key} in {file} has changed"
                    for file, values in record.get("params", {}).items()
                    for key, value in values.items()
                    if reduce(_step, key.split("."), self.pipeline.params) != value
                ),
            ),
            None,
        )

    def _changed_dep(self, dep: dict[str, Any]) -> str | None:
        name = PurePath(dep["path"])
        path = self.pipeline.root / name
        if not path.exists() or md5(path, self.ignored) != dep.get("md5"):
            return f"{name} differs from dvc.lock"
        if fingerprint.FOLDER.name in name.parts:  # of more code than this stage uses
            code = fingerprint.difference(fingerprint.name_of(path), path)
            return f"{code} differs from {name}" if code else None
        above = (str(folder) for folder in (name, *name.parents))
        makers = (self.makers[folder] for folder in above if folder in self.makers)
        return next(filter(None, map(self.changed, makers)), None)


def _step(block: Any, key: str) -> Any:
    return block.get(key) if isinstance(block, dict) else None


def report_left_over(root: Path) -> None:
    """Print results that nothing needs any more, and how to remove them."""
    try:
        stages, paths = Pipeline(root).left_over()
    except InputError as error:
        print(f"what is left over is not listed, because of a mistake in\n{error}")
        return
    if stages or paths:
        print("left over (not in params.yaml or dvc.yaml):")
        if stages:
            print(f"  in dvc.lock: {', '.join(stages)}")
        for path in paths:
            print(f"  {os.path.relpath(path, root)}")
        print(cli.commands_for(root, "to remove them: `digits remove --leftovers`"))


def verify(root: Path, *, fix: bool) -> int:
    """Check, repair if `fix` is set, and return the exit status."""
    with locks.exclusive(root, read_only=not fix) as repo:
        damage = check(repo, root)
        if damage and fix:
            repair(repo, root, damage)
            left = check(repo, root)
            print(f"{len(damage) - len(left)} of {len(damage)} repaired")
            damage = left
    if not damage:
        n, lock = len(recorded(root)), root / LOCK
        print(f"all {n} results and the cache match {lock}")
    elif not fix:
        remedy = cli.commands_for(root, "to repair it: `digits verify --fix`")
        # make leaves out other folders, if their pipeline has not run here
        print(remedy + (", or `make verify FIX=1`" if root == Path() else ""))
    report_left_over(root)
    return bool(damage)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument(
        "--fix",
        action="store_true",
        help="repair damage from the cache, otherwise by running the stage",
    )
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Verify, and return the exit status."""
    with cli.commands_act_on(arguments.root):
        return verify(arguments.root, fix=arguments.fix)
