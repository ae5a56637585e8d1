"""Read what a pipeline has produced, and what DVC has recorded about it."""

import json
import os
from pathlib import Path
from typing import Any

from digits import pipeline
from digits.commands import unlock

UNFINISHED = "data/unfinished"


def results(root: Path) -> dict[str, bytes]:
    """Return the files under data/, metrics/ and report/ that are final.

    Files that are being written and the checkpoint of an interrupted training are not.

    Args:
        root: the project's folder.

    Returns:
        Each file's content by its path relative to `root`.
    """
    return {
        str(path.relative_to(root)): path.read_bytes()
        for top in ("data", "metrics", "report")
        for path in (root / top).rglob("*")
        if path.is_file()
        and not any(part.startswith(".tmp-") for part in path.parts)
        and not path.is_relative_to(root / UNFINISHED)
    }


def attributed(root: Path) -> dict[str, Any]:
    """Return the results that dvc.lock and DVC's run cache have recorded.

    Args:
        root: the project's folder.

    Returns:
        The recorded outputs by the inputs that they are attributed to, as JSON.
    """
    found = {}
    lock = root / "dvc.lock"
    runs = (root / ".dvc/cache/runs").glob("*/*/*")
    complete = [lock] if lock.exists() and unlock.is_whole(lock) else []
    for path in (*complete, *(run for run in runs if ".tmp" not in run.name)):
        content = pipeline.read(path)
        stages = content["stages"] if path == lock else {"": content}
        for stage in stages.values():
            if "outs" not in stage:  # cut off before them: DVC runs the stage again
                continue
            inputs = json.dumps({**stage, "outs": None}, sort_keys=True)
            found[inputs] = sorted(stage["outs"], key=str)
    return found


def damage(path):
    """Change a byte of a file, but not its size, time or mode."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
