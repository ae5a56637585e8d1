"""Put right what DVC leaves behind when it is killed while it writes its own files.

It writes neither its list of locks nor dvc.lock at once, and reads no half of them.
"""

import argparse
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from digits.config import cli

log = logging.getLogger(__name__)

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def is_whole(lock: Path) -> bool:
    """Tell whether DVC would read this dvc.lock."""
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(lock.read_text("utf-8"), _Loader))  # noqa: S506 (safe)
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        return False
    return True


def unlock(root: Path) -> Iterator[str]:
    """Remove an empty list of locks, take a broken dvc.lock from Git; yield what was done.

    What dvc.lock then no longer says, DVC takes from its cache of runs, or computes again.
    """
    for rwlock in (*root.glob(".dvc/tmp/rwlock"), *root.glob("*/.dvc/tmp/rwlock")):
        if not rwlock.stat().st_size:
            rwlock.unlink()
            yield f"{rwlock}: was left empty, and is removed"
    for lock in (*root.glob("dvc.lock"), *root.glob("*/dvc.lock")):
        if not is_whole(lock):
            lock.unlink()
            command = ("git", "checkout", "--quiet", "--", lock.name)
            subprocess.run(command, cwd=lock.parent, check=False, capture_output=True)  # noqa: S603 (Git)
            yield f"{lock}: was cut short, and is again " + (
                "that of Git" if lock.exists() else "to be made"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m commands.unlock",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    with cli.reporting(1):
        for done in unlock(Path()):
            log.warning(done)
