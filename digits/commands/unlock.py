"""Repair dvc.lock after a kill or a merge conflict, without losing a result.

After a kill: DVC writes its list of locks and dvc.lock non-atomically, and refuses to start
if either is truncated. After a merge, rebase, cherry-pick or stash with conflicts: dvc.lock
is merged stage by stage. A stage that one side changed is taken from that side; one that
both changed is removed, so that it runs again or comes from DVC's run cache. Results in Git
that have a conflict are also made again. All these files are added to Git's index.
"""

import argparse
import logging
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import ParseError, parse_yaml
from voluptuous import Invalid

from digits import locks, pipeline
from digits.data import files
from digits.errors import InputError
from digits.pipeline import LOCK

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  digits unlock && dvc repro      after DVC was killed; the same as `make repro`
  git merge other-branch          CONFLICT in dvc.lock
  digits unlock && dvc repro
  git add --all && git commit

exit status: 0; 1 if a file has a conflict that only you can resolve, such as params.yaml
"""
STATUS = 1  # of a user's mistake

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Lock = dict[str, Any]
EMPTY: Lock = {"schema": "2.0", "stages": {}}
# The reference that each Git command leaves during a conflict, and the other side.
OTHERS = {
    "MERGE_HEAD": "MERGE_HEAD",
    "CHERRY_PICK_HEAD": "CHERRY_PICK_HEAD",
    "REBASE_HEAD": "REBASE_HEAD",
    "REVERT_HEAD": "REVERT_HEAD^",
}
_HUNK = re.compile(
    r"^<{7} [^\n]*\n(?P<ours>.*?)(?:^\|{7}[^\n]*\n(?P<base>.*?))?^={7}\n(?P<theirs>.*?)"
    r"^>{7} [^\n]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


def is_whole(lock: Path) -> bool:
    """Return whether DVC could read this dvc.lock."""
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(lock.read_text("utf-8"), _Loader))  # noqa: S506 (safe)
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        return False
    return True


def unlock(root: Path) -> Iterator[str]:
    """Remove an empty list of locks, repair each dvc.lock; yield messages of what was done.

    DVC takes removed stages from its run cache, or runs them again.

    Raises:
        InputError: If a file that is not a result has a conflict, or DVC is running.
    """
    pipeline.refuse_foreign_repository(root)  # Git would not restore a file
    folders = [root, *(path.parent for path in root.glob("*/.dvc"))]
    for folder in folders:
        recorded = (folder / LOCK, folder / pipeline.TUNING_LOCK)
        if locks.is_empty(locks.rwlock_of(folder)) or not all(map(_is_in_order, recorded)):
            # One may have looked truncated while it was written.
            with locks.exclusive(folder):
                for lock in recorded:
                    yield from _put_in_order(lock)
    left = [path for path in _unmerged(root) if in_conflict(root / path)]
    left += [name for name in ("params.yaml", "dvc.yaml") if in_conflict(root / name)]
    if left:
        names = ", ".join(dict.fromkeys(left))
        raise InputError(
            f"{names}: has a merge conflict that only you can resolve. Edit it, "
            f"`git add {names.replace(',', '')}`, and run the command again"
        )
    for folder in folders:
        for path in pipeline.restore(folder):
            yield f"{path}: could not be read, and is written again"


def _is_in_order(lock: Path) -> bool:
    if not lock.exists():
        return True
    return is_whole(lock) and not _conflicting(lock.parent, _makers(pipeline.read(lock)))


def _put_in_order(lock: Path) -> Iterator[str]:
    """Restore a truncated dvc.lock from Git, and merge one that has a conflict."""
    if lock.exists() and not is_whole(lock) and not in_conflict(lock):
        lock.unlink()
        # From the index; or from a conflict; or, if it was staged truncated, from a commit.
        for source in ([], ["--merge"], ["HEAD"]):
            if not lock.exists() or not (is_whole(lock) or in_conflict(lock)):
                _git(lock.parent, "checkout", "--quiet", *source, "--", lock.name)
                if source == ["HEAD"] and any(map(_parsed, _merging(lock))):
                    merged, _ = merge(*_sides(lock))
                    pipeline.write(lock, merged)
        yield f"{lock}: was truncated; " + (
            "restored from Git" if lock.exists() else "`dvc repro` writes it again"
        )
    yield from solve(lock)


def _makers(*sides: Lock) -> dict[str, str]:
    """Return the stage that makes each result."""
    return {
        out["path"]: name
        for side in sides
        for name, stage in side.get("stages", {}).items()
        for out in stage.get("outs", [])
    }


def in_conflict(path: Path) -> bool:
    """Return whether a file has Git's conflict markers in it."""
    try:
        return bool(_HUNK.search(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def solve(lock: Path) -> Iterator[str]:
    """Merge a dvc.lock and results in Git that have conflicts; yield messages."""
    root = lock.parent
    sides: tuple[Lock, ...] = ()
    if in_conflict(lock):
        sides = _sides(lock)
        merged, dropped = merge(*sides)
        pipeline.write(lock, merged)
        _git(root, "add", "--", lock.name)
        yield f"{lock}: had a merge conflict, and was merged stage by stage" + (
            f"; both sides changed {', '.join(dropped)}, to run again" if dropped else ""
        )
    if not lock.exists():
        return
    now = pipeline.read(lock)
    maker = _makers(*sides, now)
    again = []
    for path in _conflicting(root, maker):
        stage = next(maker[out] for out in _and_parents(path) if out in maker)
        content = next(
            content
            for version in (f":2:./{path}", f":3:./{path}", f"HEAD:./{path}", "")
            if (content := _show(root, version)) is not None
        )
        with files.replacing(root / path) as temporary:
            temporary.write_bytes(content)
        _git(root, "add", "--", path)
        now["stages"].pop(stage, None)
        again.append(stage)
        yield f"{root / path}: had a conflict; {stage} makes it again"
    if again:
        pipeline.write(lock, now)
        _git(root, "add", "--", lock.name)


def merge(base: Lock, ours: Lock, theirs: Lock) -> tuple[Lock, list[str]]:
    """Merge two versions of dvc.lock.

    Args:
        base: Their common origin, empty if unknown.
        ours: One side.
        theirs: The other side.

    Returns:
        The merged dvc.lock, and the stages that both changed.
    """
    was, a, b = (side.get("stages", {}) for side in (base, ours, theirs))
    merged, dropped = {}, []
    for name in dict.fromkeys((*a, *b)):
        before, one, other = was.get(name), a.get(name), b.get(name)
        if one not in (before, other) and other != before:
            dropped.append(name)
        elif stage := other if one == before else one:
            merged[name] = stage
    return {**theirs, **ours, "stages": merged}, dropped


def _sides(lock: Path) -> tuple[Lock, Lock, Lock]:
    """Return the common origin of a dvc.lock with a conflict, if known, and its sides."""
    root, name = lock.parent, lock.name
    for origin, ours, theirs in (
        (":1", ":2", ":3"),
        *((_origin(root, head), "HEAD", other) for head, other in OTHERS.items()),
    ):
        shown = (_show(root, f"{version}:./{name}") for version in (origin, ours, theirs))
        base, one, other = map(_parsed, shown)
        if one and other:
            return base or {}, one, other
    # Git does not know of the conflict, as after `git stash pop` and `git add`.
    text = lock.read_text("utf-8")
    sides = (_HUNK.sub(rf"\g<{side}>", text).encode() for side in ("ours", "theirs"))
    one, other = map(_parsed, sides)
    return {}, one or EMPTY, other or EMPTY


def _merging(lock: Path) -> list[bytes | None]:
    """Return the dvc.lock of the commit that is being merged, picked, …, if any."""
    return [_show(lock.parent, f"{other}:./{lock.name}") for other in OTHERS.values()]


def _origin(root: Path, head: str) -> str:
    """Return the common origin of HEAD and the commit being merged, picked, …."""
    if head == "MERGE_HEAD":
        return _git(root, "merge-base", "HEAD", head).stdout.decode().strip()
    return head if head == "REVERT_HEAD" else f"{head}^"


def _parsed(content: bytes | None) -> Lock | None:
    """Return the parsed dvc.lock, None if it is missing or invalid."""
    try:
        lock = parse_yaml((content or b"").decode(), "dvc.lock")
        return COMPILED_LOCKFILE_SCHEMA(lock) if lock else None
    except (ParseError, UnicodeDecodeError, Invalid):
        return None


def _conflicting(root: Path, maker: dict[str, str]) -> list[str]:
    """Return the results in Git with a conflict, in the index or by their markers."""
    listed = _git(root, "ls-files", "-z").stdout.decode().split("\0")
    unmerged = set(_unmerged(root))
    return [
        path
        for path in dict.fromkeys(filter(None, listed))
        if any(out in maker for out in _and_parents(path))
        if path in unmerged or in_conflict(root / path)
    ]


def _and_parents(path: str) -> Iterator[str]:
    yield path
    yield from (str(parent) for parent in PurePath(path).parents)


def _unmerged(root: Path) -> list[str]:
    """Return the files in a folder that are unmerged in Git's index."""
    listed = _git(root, "ls-files", "-z", "--unmerged").stdout.decode().split("\0")
    return [*dict.fromkeys(entry.partition("\t")[2] for entry in listed if entry)]


def _show(root: Path, name: str) -> bytes | None:
    """Return the content of a Git object, None if it does not exist."""
    result = _git(root, "show", name)
    return None if result.returncode else result.stdout


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ("git", *arguments)
    return subprocess.run(command, cwd=root, check=False, capture_output=True)  # noqa: S603 (Git)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    del parser  # there are none


def main(arguments: argparse.Namespace) -> int:
    """Repair, log what was done, and return the exit status."""
    del arguments
    for done in unlock(Path()):
        log.warning(done)
    return 0
