"""Open DVC, and hold its locks while a command reads or changes what it has recorded.

DVC holds one lock while it reads and writes its files, and another file lists the results
that the running stage will write: https://github.com/treeverse/dvc/pull/2584.
"""

import errno
import logging
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from digits.errors import InputError

log = logging.getLogger(__name__)


@contextmanager
def open_repo(root: Path | None = None) -> Iterator[Any]:
    """Yield DVC's `Repo` of the project at `root`.

    Args:
        root: A folder of the project; None: the working folder.

    Raises:
        InputError: If DVC cannot use the database where it notes the hashes of files, as on
            a full disk.
    """
    from dvc.config import Config  # noqa: PLC0415 (slow to import)
    from dvc.dirs import site_cache_dir  # noqa: PLC0415
    from dvc.repo import Repo  # noqa: PLC0415

    try:
        with Repo(root and str(root)) as repo:
            yield repo
    except sqlite3.Error as error:
        settings = Config(Repo.find_dvc_dir(root and str(root)))["core"]
        raise InputError(
            f"DVC cannot write to {site_cache_dir(settings.get('site_cache_dir'))} "
            f"({error}): free some disk space, or set DVC_SITE_CACHE_DIR to a folder on "
            "another disk"
        ) from error


@contextmanager
def exclusive(root: Path, *, read_only: bool = False) -> Iterator[Any]:
    """Hold both locks of the project at `root`, and yield DVC's `Repo`.

    Args:
        root: The folder of the project.
        read_only: Whether the command changes nothing; it then needs no lock where the user
            may not write.

    Raises:
        InputError: If another DVC is running (the message names its process), or DVC fails.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 (slow to import)
    from dvc.lock import make_lock  # noqa: PLC0415
    from dvc.repo import lock_repo  # noqa: PLC0415
    from dvc.rwlock import RWLOCK_LOCK, rwlock  # noqa: PLC0415

    try:
        with open_repo(root) as repo, ExitStack() as stack:
            hardlink = repo.config["core"].get("hardlink_lock", False)
            rwlock_path = rwlock_of(root)
            try:
                stack.enter_context(lock_repo(repo))
                with make_lock(
                    str(rwlock_path.with_name(RWLOCK_LOCK)), repo.tmp_dir, hardlink
                ):
                    # DVC was killed while writing it, and can't read it
                    if is_empty(rwlock_path):
                        rwlock_path.unlink()
                        log.warning("%s: was empty, and was removed", rwlock_path)
                # the name that DVC gives itself, so that it may run stages in this process
                name = " ".join(sys.argv)
                everything = [repo.root_dir]
                stack.enter_context(
                    rwlock(repo.tmp_dir, repo.fs, name, [], everything, hardlink)
                )
            except OSError as error:
                if not read_only or error.errno not in (errno.EACCES, errno.EROFS):
                    raise
            yield repo
    except DvcException as error:
        raise InputError(f"DVC: {error}") from error


def rwlock_of(root: Path) -> Path:
    """Return the path of DVC's list of files that running stages read and write."""
    return root / ".dvc/tmp/rwlock"


def is_empty(path: Path) -> bool:
    """Return whether the file exists and is empty."""
    return path.exists() and not path.stat().st_size
