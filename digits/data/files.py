"""Whole files or none: a result appears under its name only when it is complete.

And what is read must be whole: an array is exactly what its header promises, holds no
pickle, and takes memory in proportion to its file.
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
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from digits import process
from digits.data import regular
from digits.errors import InputError

if TYPE_CHECKING:  # slow to import, and most stages draw nothing
    from matplotlib.figure import Figure

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# How much a compressed file may unfold to: deflate makes up to 1000 bytes of one, images
# of handwriting about 5. A small file may be anything.
MAX_EXPANSION = 100
ALWAYS_ALLOWED = 256 * 2**20  # bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file or a folder to, then rename it to `path`.

    The temporary path lies in the same folder, so that the rename is atomic. When the
    block raises, what was written is removed, and whatever stood at `path` before is
    still there. (An old folder is removed just before the rename.)

    Raises `InputError` if the disk is full, if `path` is a link to a folder, or if this
    is a stage whose DVC has gone.
    """
    if path.is_symlink() and path.is_dir():
        raise InputError(
            f"{path}: is a symbolic link to a folder, which cannot be replaced at once. "
            "Remove the link; to keep results on another disk, move DVC's cache there: "
            "`dvc cache dir --local FOLDER`"
        )
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".tmp-*-{path.name}"):
            writer = left.name.split("-")[1]
            if not process.is_running(writer, left.stat().st_mtime):  # it was killed
                _remove(left)
        yield temporary
        process.refuse_orphan()
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"{path}: cannot be written ({error.strerror}). Make room and run the same "
            "again; what was there before is still whole"
        ) from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any] | list[Any]) -> None:
    """Write `value` as indented JSON; a `nan` is refused with a `ValueError`."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def read_json(path: Path) -> Any:
    """Read a result. Raises `InputError` if it is missing or damaged."""
    try:
        return json.loads(regular.text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); `dvc repro` regenerates it"
        ) from error


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


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write an array; call it inside `replacing`.

    `np.save` gives the same bytes, but of a full disk it says "512 requested and 0
    written", without an error number.
    """
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)


def write_npz(path: Path, **arrays: np.ndarray | str) -> None:
    """Write arrays without pickle; the same arrays give the same bytes.

    `np.savez` leaves each length open, and Python's releases fill it in differently.
    """
    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            content = BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(ZipInfo(f"{name}.npy"), content.getvalue())


def write_png(path: Path, figure: "Figure") -> None:
    """Draw a figure of matplotlib's; the same figure gives the same bytes."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})


def read_npy(path: Path) -> np.ndarray:
    """Read an array. Raises `OSError` or `ValueError` if it is missing or damaged."""
    with regular.file(path).open("rb") as file:
        return _read_array(file, path.stat().st_size)


def read_npz(
    path: Path,
    names: Collection[str],
    *,
    optional: Collection[str] = (),
    among_others: bool = False,
) -> dict[str, np.ndarray]:
    """Read the arrays of those `names`, and of the `optional` ones if they are there.

    among_others: there may be other arrays, which are not read

    Raises `OSError` or `ValueError` if the file is missing, damaged, no npz, has other
    arrays than these, or would unfold to more than `max_unpacked_bytes`.
    """
    members = {f"{name}.npy": name for name in names}
    try:
        with regular.file(path).open("rb") as file, ZipFile(file) as archive:
            found = {info.filename: info for info in archive.infolist()}
            missing = [name for member, name in members.items() if member not in found]
            members |= {m: name for name in optional if (m := f"{name}.npy") in found}
            extra = sorted(found.keys() - members.keys())
            if missing or (extra and not among_others):
                problems = [f"no array {', '.join(missing)} in it"] * bool(missing)
                problems += [f"{', '.join(extra)} does not belong in it"] * bool(extra)
                raise ValueError("; ".join(problems))
            unfolded = sum(found[member].file_size for member in members)
            if unfolded > max_unpacked_bytes(path):
                raise ValueError(f"it would unfold to {unfolded:,} bytes")
            return {
                name: _read_member(archive, found[member])
                for member, name in members.items()
            }
    except (BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(str(error) or "it is cut off") from error


def max_unpacked_bytes(path: Path) -> int:
    """Return to how many bytes a compressed file may unfold."""
    return max(ALWAYS_ALLOWED, MAX_EXPANSION * path.stat().st_size)


def _read_member(archive: ZipFile, info: ZipInfo) -> np.ndarray:
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted, or compressed in another way")
    with archive.open(info) as file:
        return _read_array(file, info.file_size)


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _read_array(file: IO[bytes], n_bytes: int) -> np.ndarray:
    """Read an array from a file that is `n_bytes` long, no more and no less."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"it is of an unknown version, {version}")
    try:
        shape, _, dtype = _HEADERS[version](file)
    except (SyntaxError, TokenError, RecursionError, TypeError) as error:
        raise ValueError(f"its header cannot be parsed: {error}") from error
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    promised, there = math.prod(shape) * dtype.itemsize, n_bytes - file.tell()
    if min(shape, default=0) < 0 or promised != there:
        raise ValueError(
            f"its header promises {shape} of {dtype}, {promised:,} bytes, but there are "
            f"{there:,}"
        )
    file.seek(0)
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError as error:
        raise ValueError(f"its {promised:,} bytes do not fit into memory") from error
