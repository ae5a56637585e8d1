"""Zip and tar files, unpacked into a temporary folder within limits.

Only files and folders are unpacked: an archive with a link, a device, a name that leaves
the folder or two files of one name is refused. An archive in an archive stays packed.
"""

import gzip
import io
import logging
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from digits.data import files, regular
from digits.data.ignore import is_hidden
from digits.errors import InputError, printable

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MOST_FILES = 1_000_000


def is_archive(path: Path) -> bool:
    """Tell whether a file's name is that of an archive that can be read."""
    return path.name.lower().endswith(SUFFIXES)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a temporary folder with an archive's files.

    Errors in the block and lines of the log name the archive instead of the folder.

    Args:
        path: The archive.

    Yields:
        The folder, which is removed in the end.

    Raises:
        InputError: If it is damaged, has something else than files and folders, or would
            unpack to more than `files.max_unpacked_bytes` or `MOST_FILES`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "unpacked")
        shown = _Shown(str(folder), str(path))
        loggers = (logging.getLogger(), logging.getLogger("digits.data"))
        handlers = [handler for logger in loggers for handler in logger.handlers]
        for handler in handlers:
            handler.addFilter(shown)
        try:
            folder.mkdir()
            _unpack(path, folder)
            yield folder
        except InputError as error:
            raise InputError(shown.text(str(error))) from error
        finally:
            for handler in handlers:
                handler.removeFilter(shown)


class _Shown(logging.Filter):
    """Replaces the temporary folder with the archive in lines of the log."""

    def __init__(self, folder: str, archive: str) -> None:
        super().__init__()
        self._folder, self._archive = folder, archive

    def text(self, text: str) -> str:
        return text.replace(self._folder, self._archive)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.text(record.getMessage()), ()
        return True


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive. Raises `InputError` as `unpacked` does."""
    most = files.max_unpacked_bytes(regular.file(path))
    seen: set[PurePosixPath] = set()
    try:
        for name, size, content in _members(path, most):
            most -= size
            if most < 0 or len(seen) == MOST_FILES:
                raise ValueError("it would unpack to too many bytes or files")  # noqa: TRY301
            place = _place(name)
            if place in seen:
                raise ValueError(f"it has two files {printable(name)}")  # noqa: TRY301
            seen.add(place)
            if is_hidden(place):
                continue
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(content, file)
    except (
        BadZipFile, tarfile.TarError, zlib.error, OSError, ValueError, EOFError,
        NotImplementedError, RuntimeError,
    ) as error:  # fmt: skip
        raise InputError(f"{path}: cannot be unpacked: {error}") from error


def _place(name: str) -> PurePosixPath:
    """Return where a file is put. Raises `ValueError` if that is not in the folder."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not place.parts or ":" in name[:2]:
        raise ValueError(f"it has a file {printable(name)!r}, which is not in its folder")
    return place


def _members(path: Path, most: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield the name, the size in bytes and the content of each file in an archive.

    Args:
        path: The archive.
        most: How many bytes a compressed tar file may unpack to.

    Raises:
        ValueError: If there is something else than files and folders.
    """
    if path.suffix.lower() == ".zip":
        with ZipFile(path) as archive:
            for info in archive.infolist():
                mode = stat.S_IFMT(info.external_attr >> 16)
                if info.is_dir():
                    continue
                if mode not in (0, stat.S_IFREG):
                    raise _not_a_file(info.filename)
                if (
                    info.compress_type not in (ZIP_STORED, ZIP_DEFLATED)
                    or info.flag_bits & 1
                ):
                    raise ValueError(
                        f"{printable(info.filename)} is encrypted, or compressed by an "
                        "unknown method"
                    )
                with archive.open(info) as content:
                    yield info.filename, info.file_size, content
        return
    with path.open("rb") as raw:
        is_zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with (
            gzip.open(raw) if is_zipped else nullcontext(raw) as plain,
            tarfile.open(fileobj=_Limited(plain, most), mode="r|") as tar,
        ):
            for member in tar:
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise _not_a_file(member.name)
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, member.size, file


def _not_a_file(name: str) -> ValueError:
    return ValueError(f"{printable(name)} is a link or a device, not a file")


class _Limited(io.RawIOBase):
    """A file that can be read up to a number of bytes."""

    def __init__(self, file: Any, most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raises `ValueError` beyond the limit."""
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("it would unpack to too many bytes")
        return content
