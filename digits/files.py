"""Whole files or none: a result appears under its name only when it is complete."""

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

import numpy as np

if TYPE_CHECKING:  # slow to import, and most stages draw nothing
    from matplotlib.figure import Figure


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file or a folder to, then rename it to `path`.

    The temporary path lies in the same folder, so that the rename is atomic. When the
    block raises, what was written is removed, and whatever stood at `path` before is
    still there. (An old folder is removed just before the rename.)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".tmp-*-{path.name}"):
        if not _runs(left.name.split("-")[1]):  # killed before it could tidy up
            _remove(left)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    """Return whether a process of that number runs."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_json(path: Path, value: dict[str, Any] | list[Any]) -> None:
    """Write `value` as indented JSON; a `nan` is refused with a `ValueError`."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


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
