"""Hash every result and every object in the cache again, and compare with dvc.lock.

DVC trusts an object in its cache that is marked read-only, and a file whose time and size
have not changed. This command trusts nothing: it reads every byte.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from commands.pipeline import LOCK, Pipeline
from digits.config import cli
from digits.data import files
from digits.data.ignore import NOTHING, Ignored
from digits.errors import InputError

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  python -m commands.verify                  say what is damaged or missing
  python -m commands.verify --fix            repair it
  python -m commands.verify --in published   those of the published table

exit status: 0 if all is as dvc.lock says; 1 if not; 2 if it could not be checked
"""


class Out(NamedTuple):
    """A result as a lock of DVC's records it."""

    stage: str
    path: str
    md5: str
    cached: bool  # whether DVC keeps it; else Git does


class Damage(NamedTuple):
    """What is wrong, and with which result."""

    out: Out
    where: Path
    what: str


def md5(path: Path, ignored: Ignored = NOTHING) -> str:
    """Return the MD5 of a file, or that of a folder as DVC forms it, with `.dir`.

    ignored: files that do not count, though they are in the folder
    """
    if path.is_dir():
        return _of_bytes(_listing(path, ignored)) + ".dir"
    if not path.is_file():
        return "a pipe, or a link to nothing"  # which nobody recorded
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new).hexdigest()


def _listing(path: Path, ignored: Ignored) -> bytes:
    """Return what DVC keeps of a folder: the MD5 of each file, and where it is."""
    parts = sorted((p.relative_to(path).parts, md5(p)) for p in ignored.files(path))
    listing = [{"md5": value, "relpath": "/".join(name)} for name, value in parts]
    return json.dumps(listing, sort_keys=True).encode()


def _new() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _of_bytes(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def recorded(root: Path) -> list[Out]:
    """Return what dvc.lock says was made, in the order of dvc.yaml.

    What is left over of a variant that was removed does not count.

    Raises `InputError` if it is missing or none of DVC's.
    """
    pipeline = Pipeline(root)
    if not (path := root / LOCK).exists():
        raise InputError(f"{path}: is missing, so nothing was run; run `dvc repro`")
    return [
        Out(name, out["path"], out["md5"], out["path"] not in in_git)
        for name in pipeline.stages
        if name in pipeline.recorded
        for in_git in [pipeline.in_git(name)]
        for out in pipeline.recorded[name].get("outs", [])
    ]


def cache(root: Path) -> Path:
    """Return the folder of DVC's cache, as DVC itself says it."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise InputError(f"DVC does not tell where its cache is: {result.stderr.strip()}")
    return (root / result.stdout.strip()).resolve() / "files/md5"


def damages(root: Path, store: Path) -> Iterator[Damage]:
    """Yield all that is not as dvc.lock says, in the workspace and in the cache.

    store: the folder with the cache's objects
    """
    checked: set[str] = set()
    ignored = Ignored(root)
    for out in recorded(root):
        path = root / out.path
        if not path.exists():
            yield Damage(out, path, "missing")
        elif md5(path, ignored) != out.md5:
            yield Damage(out, path, "damaged")
        if out.cached and out.md5 not in checked:
            checked.add(out.md5)
            yield from (Damage(out, *found) for found in _objects(store, out.md5))


def _objects(store: Path, value: str) -> Iterator[tuple[Path, str]]:
    """Yield the objects of a result that the cache lacks, or has damaged."""
    path = store / value[:2] / value[2:]
    if not path.is_file():
        yield path, "missing"
        return
    if _of_bytes(content := path.read_bytes()) != value.removesuffix(".dir"):
        yield path, "damaged"
    elif value.endswith(".dir"):
        for entry in json.loads(content):
            yield from _objects(store, entry["md5"])


def repair(root: Path, store: Path, found: list[Damage]) -> None:
    """Replace what is damaged by the other copy of the same bytes, else by its stage.

    No result is recorded but by a stage that runs on the inputs that dvc.lock has. Nothing
    is deleted before its replacement is there and was checked.
    """
    broken = dict.fromkeys(damage.out for damage in found)
    ignored = Ignored(root)
    pipeline = Pipeline(root)
    for out in broken:
        if out.cached:
            _refill(store, out.md5, root / out.path, ignored)
    for out in broken:
        path = root / out.path
        if _is_whole(out, path, ignored):
            continue
        if out.cached and not any(_objects(store, out.md5)):
            _remove(path)
            _dvc(root, "checkout", out.path)
        elif reason := _changed_input(pipeline, out.stage, ignored):
            print(f"left as it is: {out.path}, since {reason}; `dvc repro` regenerates it")
        else:
            with _aside(store, out):
                _dvc(root, "repro", "--single-item", "--force", "--no-run-cache", out.stage)


@contextmanager
def _aside(store: Path, out: Out) -> Iterator[None]:
    """Put damaged objects of a result aside, and back unless they were written again.

    DVC does not replace an object that is read-only, whatever is in it.
    """
    kept = {}
    for path, what in list(_objects(store, out.md5)) if out.cached else []:
        if what == "damaged":
            kept[path] = path.rename(path.with_name(f".tmp-{os.getpid()}-{path.name}"))
    yield
    for path, aside in kept.items():
        if path.exists():
            aside.unlink()
        else:
            aside.rename(path)


def _is_whole(out: Out, path: Path, ignored: Ignored) -> bool:
    return path.exists() and md5(path, ignored) == out.md5


def _refill(store: Path, value: str, path: Path, ignored: Ignored) -> None:
    """Write the objects that the cache lacks or has damaged, if `path` has their bytes.

    value: the result's MD5
    """
    held: dict[str, Path | bytes] = {}
    if path.is_dir():
        held = {md5(file): file for file in ignored.files(path)}
        listing = _listing(path, ignored)
        held[f"{_of_bytes(listing)}.dir"] = listing
    elif path.is_file():
        held = {md5(path): path}
    for _ in range(2):  # what a folder holds is known when its own object is whole
        for target, _what in list(_objects(store, value)):
            content = held.get(target.parent.name + target.name)
            if content is None:
                continue
            with files.replacing(target) as temporary:
                whole = content if isinstance(content, bytes) else content.read_bytes()
                temporary.write_bytes(whole)
                temporary.chmod(0o444)  # as DVC marks what is in its cache


def _changed_input(pipeline: Pipeline, stage: str, ignored: Ignored) -> str | None:
    """Return what of a stage's inputs is not as dvc.lock has it, None if all is."""
    recorded = pipeline.recorded[stage]
    for dep in recorded.get("deps", []):
        path = pipeline.root / dep["path"]
        if not path.exists() or md5(path, ignored) != dep["md5"]:
            return f"{dep['path']} is not as dvc.lock has it"
    for file, values in recorded.get("params", {}).items():
        for key, value in values.items():
            now: Any = pipeline.params
            for part in key.split("."):
                now = now.get(part) if isinstance(now, dict) else None
            if now != value:
                return f"{key} in {file} has changed"
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _dvc(root: Path, *arguments: str) -> None:
    """Run DVC; what it could not do is seen when all is hashed again."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    }
    command = [sys.executable, "-m", "dvc", *arguments, "--quiet"]
    subprocess.run(command, cwd=root, env=environment, check=False)  # noqa: S603 (DVC)


def report(found: list[Damage]) -> None:
    """Print a line for each thing that is wrong."""
    for damage in found:
        where = os.path.relpath(damage.where)
        print(f"{damage.what:8} {where}  (made by {damage.out.stage})")


def report_left_over(root: Path) -> None:
    """Say what nothing needs any more, and how to remove it."""
    stages, paths = Pipeline(root).left_over()
    if stages or paths:
        print("left over, since params.yaml and dvc.yaml no longer have it:")
        if stages:
            print(f"  in dvc.lock: {', '.join(stages)}")
        for path in paths:
            print(f"  {os.path.relpath(path, root)}")
        print("to remove it: python -m commands.remove --leftovers")


def main(root: Path, *, fix: bool) -> int:
    """Check, repair if asked to, and return the exit status."""
    store = cache(root)
    found = list(damages(root, store))
    report(found)
    if found and fix:
        repair(root, store, found)
        left = list(damages(root, store))
        report(left)
        print(f"{len(found) - len(left)} of {len(found)} repaired")
        found = left
    if not found:
        n, lock = len(recorded(root)), root / "dvc.lock"
        print(f"all {n} results are as {lock} says, and the cache, too")
    elif not fix:
        where = "" if root == Path() else f" --in {root}"
        print(f"to repair it: python -m commands.verify --fix{where}")
    report_left_over(root)
    return bool(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m commands.verify",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--fix", action="store_true", help="repair it: from the cache, else by its stage"
    )
    cli.add_root(parser)
    arguments = parser.parse_args()
    with cli.reporting(2), cli.naming(arguments.root):
        sys.exit(main(arguments.root, fix=arguments.fix))
