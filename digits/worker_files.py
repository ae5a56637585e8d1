"""Files that the workers of a Dask cluster read.

A worker uses the file under the path that it has here, if it sees one there with the same
content. Otherwise it fetches it from a storage that all machines reach, if one is named:
the client puts the file there, under its SHA-256.
"""

import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

from digits.data.files import replacing
from digits.errors import InputError

log = logging.getLogger(__name__)

VARIABLE = "DIGITS_STORAGE"
FETCHING = threading.Lock()  # threads of a worker need the same file at the same time


class NotSeenError(Exception):
    """A worker finds a file neither under its path nor in the storage."""


class Copy(NamedTuple):
    """A file as a worker sees it; another state of it is another value."""

    path: str
    inode: int
    mtime_ns: int
    size: int

    @classmethod
    def at(cls, path: str) -> Self:
        """Return what is at a path now.

        Raises:
            OSError: Nothing that this process can read.
        """
        stat = Path(path).stat()
        return cls(path, stat.st_ino, stat.st_mtime_ns, stat.st_size)


class File(NamedTuple):
    """A file, the SHA-256 of its content, and its URL; empty if no storage is named."""

    path: str
    size: int
    sha256: str
    url: str = ""

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read a file, and return its description.

        Raises:
            InputError: As for `storage`.
        """
        found = Copy.at(str(path))
        sha256 = _sha256(found)
        folder = storage()
        url = f"{folder}/{sha256}{path.suffix}" if folder else ""
        return cls(found.path, found.size, sha256, url)

    def copy(self) -> Copy:
        """Return where the content is on this worker; fetch it if needed.

        Raises:
            NotSeenError: It is neither under its path nor in the storage.
            InputError: The storage cannot be read; the error names the worker.
        """
        return self._seen(self.path) or self._fetched()

    def put(self) -> bool:
        """Copy the file to the storage; return whether it had to be, and could be.

        Raises:
            InputError: The storage cannot be written.
        """
        if not self.url:
            return False
        from fsspec.callbacks import TqdmCallback  # noqa: PLC0415 (only if used)

        bar = {"unit": "B", "unit_scale": True, "leave": False, "disable": None}
        with _opened(self.url) as (system, path):
            if _size(system, path) == self.size:
                return False
            log.info("%s: is copied to %s", self.path, _shown(self.url))
            system.put_file(self.path, path, callback=TqdmCallback(bar))
        return True

    def _seen(self, path: str) -> Copy | None:
        """Return what is at a path if it has this content."""
        try:
            found = Copy.at(path)
            if found.size == self.size and _sha256(found) == self.sha256:
                return found
        except OSError:
            pass
        return None

    def _fetched(self) -> Copy:
        """Return the worker's copy of the file in the storage."""
        from distributed import get_worker  # noqa: PLC0415 (an extra, imported only if used)

        if self.url:
            worker = get_worker()
            to = Path(worker.local_directory) / "images" / Path(self.url).name
            with FETCHING:
                if found := self._seen(str(to)):
                    return found
                with _opened(self.url) as (system, path):
                    if _size(system, path) == self.size:
                        with replacing(to) as temporary:
                            system.get_file(path, temporary)
                        if found := self._seen(str(to)):
                            return found
                        raise InputError(
                            f"{_who()}: {_shown(self.url)} has another content than its "
                            "name says; remove it, and run this again"
                        )
        nor = f", and does not find {_shown(self.url)}" if self.url else ""
        raise NotSeenError(f"{_who()} does not see {self.path}{nor}")


def storage() -> str:
    """Return the URL of the folder that `DIGITS_STORAGE` names; empty if it is not set.

    Raises:
        InputError: It is not a URL, or the package for its kind is not installed.
    """
    url = os.environ.get(VARIABLE, "").strip().rstrip("/")
    if url and "://" not in url:
        raise InputError(
            f"{VARIABLE}={url}: is not a URL, such as s3://BUCKET/FOLDER or "
            "file:///SHARED/FOLDER"
        )
    if url:
        with _opened(url):
            pass
    return url


@contextmanager
def _opened(url: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a URL, and the path there.

    Raises:
        InputError: What went wrong there or in the block, which names this worker.
    """
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415 (only if a storage is named)

        yield url_to_fs(url)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 (each file system has errors of its own)
        said = " ".join(str(error).split()) or repr(error)
        raise InputError(
            f"{_who()}: {_shown(url)}: {said}. See docs/cluster.md, Storage"
        ) from None  # `cluster.explained` names the worker if there is an OSError


def _shown(url: str) -> str:
    """Return a URL without a user's name and password."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def _size(system: Any, path: str) -> int | None:
    """Return the size of a file; None if there is none."""
    system.invalidate_cache()
    try:
        return int(system.size(path))
    except FileNotFoundError:
        return None


@cache
def _sha256(copy: Copy) -> str:
    """Return the hash of a file, which is read once for each of its states."""
    with Path(copy.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _who() -> str:
    """Return the name of this process for a message."""
    try:
        from distributed import get_worker  # noqa: PLC0415 (an extra)

        return f"worker {get_worker().address}"
    except (ImportError, ValueError):
        return VARIABLE  # of this process
