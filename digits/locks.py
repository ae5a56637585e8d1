"""Keep DVC out while a command looks at what DVC has recorded, and changes it.

DVC holds one lock while it reads and writes its files, and lists in another which results
the stage that runs will write: https://github.com/treeverse/dvc/pull/2584.
"""

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from digits.errors import InputError

log = logging.getLogger(__name__)


@contextmanager
def alone(root: Path, *, reads: bool = False) -> Iterator[Any]:
    """Hold both locks of the project at `root`, and yield DVC's `Repo`.

    reads: whether nothing is to be changed; where nobody may write, it needs no lock

    Raises `InputError` if another DVC is at work, with its process, or if DVC fails.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 (slow to import)
    from dvc.lock import make_lock  # noqa: PLC0415
    from dvc.repo import Repo, lock_repo  # noqa: PLC0415
    from dvc.rwlock import RWLOCK_LOCK, rwlock  # noqa: PLC0415

    try:
        with Repo(str(root)) as repo, ExitStack() as held:
            hardlink = repo.config["core"].get("hardlink_lock", False)
            listed = rwlock_of(root)
            try:
                held.enter_context(lock_repo(repo))
                with make_lock(str(listed.with_name(RWLOCK_LOCK)), repo.tmp_dir, hardlink):
                    if is_empty(listed):  # DVC was killed writing it, and can't read it
                        listed.unlink()
                        log.warning("%s: was left empty, and is removed", listed)
                # the name that DVC gives itself, so that it may run stages here
                name = " ".join(sys.argv)
                everything = [repo.root_dir]
                held.enter_context(
                    rwlock(repo.tmp_dir, repo.fs, name, [], everything, hardlink)
                )
            except OSError as error:
                if not reads or error.errno not in (errno.EACCES, errno.EROFS):
                    raise
            yield repo
    except DvcException as error:
        raise InputError(f"DVC: {error}") from error


def rwlock_of(root: Path) -> Path:
    """Return DVC's list of what the stages that run read and write."""
    return root / ".dvc/tmp/rwlock"


def is_empty(path: Path) -> bool:
    """Tell whether there is a file of no bytes."""
    return path.exists() and not path.stat().st_size
