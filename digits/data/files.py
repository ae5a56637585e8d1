"""Atomic writing of results, and reading of arrays, JSON and tables.

A result appears under its name only when it is complete. An array that is read has exactly
the length that its header says, holds no pickle, and takes memory in proportion to its
file.
"""

import csv
import errno
import json
import math
import os
import shutil
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import chain
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from digits import process
from digits.data import regular
from digits.errors import InputError

if TYPE_CHECKING:  # slow to import, and most stages draw nothing
    from matplotlib.figure import Figure

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# The largest ratio of a file's unpacked and compressed sizes: deflate reaches 1000, images
# of handwriting about 5. Below so many bytes any ratio is allowed.
MAX_EXPANSION = 100
ALWAYS_ALLOWED = 256 * 2**20  # bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file or a folder to, then rename it to `path`.

    The temporary path is in the same folder, so that the rename is atomic. If the block
    raises, what was written is removed, and what was at `path` before is kept. (An old
    folder is removed just before the rename.)

    Args:
        path: Where the result is to appear.

    Yields:
        The temporary path.

    Raises:
        InputError: If the disk is full, if `path` is a link to a folder, or if the DVC
            process that runs this stage has ended.
    """
    if path.is_symlink() and path.is_dir():
        raise InputError(
            f"{path}: is a symbolic link to a folder, which cannot be replaced atomically. "
            "Remove the link; to keep results on another disk, move DVC's cache there: "
            "`dvc cache dir --local FOLDER`"
        )
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".tmp-*-{path.name}"):
            writer = left.name.split("-")[1]
            if not process.is_running(writer, left.stat().st_mtime):  # it was killed
                remove(left)
        yield temporary
        process.refuse_orphan()
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"{path}: cannot be written ({error.strerror}). Free some disk space and run "
            "the same command again; what was there before is unchanged"
        ) from error
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unusable(path: Path, problem: str) -> InputError:
    """Return the error for a damaged result, with the remedy.

    Args:
        path: The result.
        problem: What is wrong with it.
    """
    return InputError(f"{path}: {problem}; `dvc repro` regenerates it")


def write_json(path: Path, value: dict[str, Any] | list[Any]) -> None:
    """Write `value` as indented JSON; `nan` raises a `ValueError`."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> Any:
    """Read a result in JSON. Raises `InputError` if it is missing or damaged."""
    try:
        return json.loads(regular.text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise unusable(path, f"cannot be read ({error})") from error


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table; floats are rounded to six decimals."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow(round(x, 6) if isinstance(x, float) else x for x in row)


def write_npy(
    path: Path, array: np.ndarray, more: Iterable[np.ndarray] = (), rows: int | None = None
) -> None:
    """Write an array; call it inside `replacing`.

    `np.save` gives the same bytes, but on a full disk it raises "512 requested and 0
    written", without an error number.

    Args:
        path: The file.
        array: The array, or its first rows.
        more: The following rows, as arrays of the same type.
        rows: Number of all rows; None: those of `array`.
    """
    header = np.lib.format.header_data_from_array_1_0(np.ascontiguousarray(array))
    header["shape"] = (len(array) if rows is None else rows, *array.shape[1:])
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in chain([array], more):
            file.write(np.ascontiguousarray(part).data)


def write_npz(path: Path, **arrays: np.ndarray | str) -> None:
    """Write arrays without pickle; the same arrays give the same bytes.

    `np.savez` does not state the lengths, and Python's releases record them differently.
    """
    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            content = BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(ZipInfo(f"{name}.npy"), content.getvalue())


def write_png(path: Path, figure: "Figure") -> None:
    """Write a matplotlib figure as PNG; the same figure gives the same bytes."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})


def read_npy(path: Path, mapped_from: float = math.inf) -> np.ndarray:
    """Read an array. Raises `OSError` or `ValueError` if it is missing or damaged.

    Args:
        path: The file.
        mapped_from: A file of so many bytes or more is mapped into memory: what is used of
            it is read when it is used.
    """
    with regular.file(path).open("rb") as file:
        n_bytes = path.stat().st_size
        if n_bytes < mapped_from:
            return _read_array(file, n_bytes)
        shape, fortran_order, dtype = _read_header(file, n_bytes)
        order: Literal["C", "F"] = "F" if fortran_order else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def read_npz(
    path: Path,
    names: Collection[str],
    *,
    optional: Collection[str] = (),
    among_others: bool = False,
) -> dict[str, np.ndarray]:
    """Read arrays from an npz file.

    Args:
        path: The file.
        names: The arrays that it must have.
        optional: The arrays that are read if it has them.
        among_others: Whether it may have other arrays, which are not read.

    Raises:
        OSError: If the file is missing or cannot be opened.
        ValueError: If it is damaged, not an npz file, has the wrong arrays, or would unpack
            to more than `max_unpacked_bytes`.
    """
    try:
        with regular.file(path).open("rb") as file, ZipFile(file) as archive:
            found = {info.filename: info for info in archive.infolist()}
            members = _members(found, names, optional)
            extra = () if among_others else sorted(found.keys() - members.keys())
            if extra:
                raise ValueError(f"{', '.join(extra)} does not belong in it")
            unpacked = sum(found[member].file_size for member in members)
            if unpacked > max_unpacked_bytes(path):
                raise ValueError(f"it would unpack to {unpacked:,} bytes")
            return {
                name: _read_member(archive, found[member])
                for member, name in members.items()
            }
    except (BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(str(error) or "it is truncated") from error


def _members(
    found: Collection[str], names: Collection[str], optional: Collection[str]
) -> dict[str, str]:
    """Return the members of an archive that are to be read, with their arrays' names.

    Raises:
        ValueError: If one of `names` is missing.
    """
    missing = [name for name in names if f"{name}.npy" not in found]
    if missing:
        raise ValueError(f"it has no array {', '.join(missing)}")
    there = (name for name in optional if f"{name}.npy" in found)
    return {f"{name}.npy": name for name in (*names, *there)}


def max_unpacked_bytes(path: Path) -> int:
    """Return how many bytes a compressed file may unpack to."""
    return max(ALWAYS_ALLOWED, MAX_EXPANSION * path.stat().st_size)


def _read_member(archive: ZipFile, info: ZipInfo) -> np.ndarray:
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.flag_bits & 1:
        raise ValueError(
            f"{info.filename} is encrypted, or compressed by an unknown method"
        )
    with archive.open(info) as file:
        return _read_array(file, info.file_size)


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _read_header(file: IO[bytes], n_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, order and type of an array in a file of exactly `n_bytes`."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its version {version} of the npy format is unknown")
    try:
        shape, fortran_order, dtype = _HEADERS[version](file)
    except (SyntaxError, TokenError, RecursionError, TypeError) as error:
        raise ValueError(f"its header cannot be parsed: {error}") from error
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    promised, there = math.prod(shape) * dtype.itemsize, n_bytes - file.tell()
    if min(shape, default=0) < 0 or promised != there:
        raise ValueError(
            f"its header says {shape} of {dtype}, {promised:,} bytes, but there are "
            f"{there:,}"
        )
    return shape, fortran_order, dtype


def _read_array(file: IO[bytes], n_bytes: int) -> np.ndarray:
    """Read an array from a file that must be exactly `n_bytes` long."""
    _read_header(file, n_bytes)
    file.seek(0)
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError as error:
        raise ValueError(f"its {n_bytes:,} bytes do not fit into memory") from error
