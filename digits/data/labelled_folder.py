"""Images in one folder, and a CSV file with the label of each.

    mine/labels.csv: file,label      mine/images/1.png
                     1.png,cat       mine/images/2.png

With `train.csv` and `test.csv`, or with such a file in each of the folders `train/` and
`test/`, there are test images as well. The file's name may be without its folder, if no
other image has it, and without its ending. The first line may have the columns' names.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

from digits.data import arrays, csv_table, image_folder, roles
from digits.data.dataset import Dataset, class_name
from digits.data.ignore import Ignored, is_hidden
from digits.data.options import Options
from digits.errors import InputError, printable
from digits.images import image_input

log = logging.getLogger(__name__)

LABELS = csv_table.LABELS | {"classid", "class_id", "category", "class_name", "species"}
MOST_COLUMNS = 16  # a table of images has more


class Labelled(NamedTuple):
    """The images of a split.

    Attributes:
        table: The CSV file.
        folder: The folder with the images.
    """

    table: Path
    folder: Path


def find(folder: Path, tables: list[Path], ignored: Ignored) -> dict[str, Labelled]:
    """Return the CSV files that label the images in a folder, by the split.

    Args:
        folder: The folder.
        tables: The CSV files in it.
        ignored: What to leave out.
    """
    splits = roles.split_folders(folder)
    inside = {
        split: Labelled(table, path)
        for split, path in splits.items()
        for table in path.glob("*.csv")
        if table.name.lower() == "labels.csv" or table.stem.lower() == path.name.lower()
    }
    if "train" in inside:
        return inside
    if not tables or next(_images(folder, ignored), None) is None:
        return {}
    narrow = [path for path in tables if _is_narrow(path)]
    whole = [path for path in narrow if path.name.lower() == "labels.csv"]
    if whole or (len(narrow) == 1 and "train" not in splits):
        return {"train": Labelled((whole or narrow)[0], folder)}
    named = {split: path for path in narrow if (split := roles.split_of(path.name))}
    if "train" not in named:
        return {}
    return {
        split: Labelled(path, splits.get(split, folder)) for split, path in named.items()
    }


def _is_narrow(path: Path) -> bool:
    """Return whether the first line has a few values."""
    try:
        _, first = next(csv_table.rows(path), (0, []))
    except InputError:  # it is reported when its content is needed
        return False
    return 1 < len(first) < MOST_COLUMNS


def read(
    origin: Path,
    found: dict[str, Labelled],
    ignored: Ignored,
    options: Options,
    names: list[str] | None,
) -> Dataset:
    """Read the images.

    Args:
        origin: The folder.
        found: What `find` returned.
        ignored: What to leave out.
        options: How to change the images; without a folder of test images, how to draw
            them.
        names: The names of the classes, in the order of their labels; None if the labels
            are the names.

    Raises:
        InputError: If a line has no image, an image has two lines, or as
            `image_folder.load` and `arrays.to_dataset` do.
    """
    if "val" in found:
        log.warning("warning: %s: these images are not used", found["val"].table)
    rows = {s: _rows(found[s], ignored) for s in ("train", "test") if s in found}
    images = image_folder.load_all(
        origin, options, {s: [path for path, _ in listed] for s, listed in rows.items()}
    )
    read_arrays = {f"x_{split}": part.images for split, part in images.items()}
    for split, listed in rows.items():
        read_arrays[f"y_{split}"] = csv_table.as_numbers([label for _, label in listed])
    return arrays.to_dataset(read_arrays, origin, names, options.without_changes())


def _images(folder: Path, ignored: Ignored) -> Iterator[Path]:
    """Yield the image files in a folder and the folders in it."""
    for path in ignored.files(folder):
        is_image = path.suffix.lower() in image_input.SUFFIXES
        if is_image and not is_hidden(path.relative_to(folder)):
            yield path


def _by_name(folder: Path, paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return image files by each name that a line may have for them."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        below = path.relative_to(folder)
        names = {below.as_posix(), below.with_suffix("").as_posix(), below.name, below.stem}
        for name in names | {f"{folder.name}/{below.as_posix()}"}:
            found[class_name(name)].append(path)
    return found


def _rows(labelled: Labelled, ignored: Ignored) -> list[tuple[Path, str]]:
    """Return the image file and the label of each line.

    Raises:
        InputError: If a line has no image or no label, or an image has two lines.
    """
    table, folder = labelled
    images = sorted(_images(folder, ignored))
    by_name = _by_name(folder, images)
    lines = csv_table.rows(table)
    _, first = next(lines, (0, []))
    number, row = next(lines, (0, []))
    if not row:
        raise InputError(f"{table}: has no images")
    file, label, has_names = _columns(first, row, by_name, labelled)
    lines = csv_table.rows(table)
    if has_names:
        next(lines)
    seen: dict[Path, int] = {}
    found, missing = [], []
    for number, row in lines:
        where = f"{table}: line {number}"
        if len(row) != len(first):
            raise InputError(f"{where} has {len(row)} values, expected {len(first)}")
        path = _only(by_name.get(_normal(row[file]), []), row[file], where)
        if path is None:
            missing.append(f"{where}: there is no image {_quoted(row[file])} in {folder}")
            continue
        if path in seen:
            raise InputError(
                f"{where}: the image {_quoted(row[file])} is also in line {seen[path]}; "
                "remove one of the two"
            )
        if not row[label].strip():
            raise InputError(f"{where} has no label")
        seen[path] = number
        found.append((path, row[label].strip()))
    if missing:
        others = f", nor for {len(missing) - 1} other lines" * (len(missing) > 1)
        raise InputError(missing[0] + others)
    if left := [path for path in images if path not in seen]:
        log.warning(
            "warning: %s: %d images are not in this file, so they are not used: %s",
            table, len(left), f"{left[0]}{', …' * (len(left) > 1)}",
        )  # fmt: skip
    return found


def _only(matching: list[Path], name: str, where: str) -> Path | None:
    """Return the only image of a name, or None. Raises `InputError` if it has several."""
    if len(matching) > 1:
        example = matching[0].relative_to(matching[0].parents[1])
        raise InputError(
            f"{where}: {len(matching)} images have the name {_quoted(name)}; write the "
            f"folder as well, as in {_quoted(str(example))}"
        )
    return matching[0] if matching else None


def _columns(
    first: list[str], second: list[str], by_name: dict[str, list[Path]], labelled: Labelled
) -> tuple[int, int, bool]:
    """Return the columns of the file and of the label, and whether line 1 has names.

    Args:
        first: The values of the first line.
        second: Those of the second one.
        by_name: The image files, by their names.
        labelled: The table, for the error.

    Raises:
        InputError: If it is not clear which column is which.
    """
    in_first, in_second = (
        [i for i, value in enumerate(row) if _normal(value) in by_name]
        for row in (first, second)
    )
    at, has_names = in_first or in_second, not in_first
    names = first if in_first else second
    # A label may be the name of an image without its suffix, as 7 of 7.png.
    at = [i for i in at if _has_suffix(names[i])] or at
    if not at:
        name = second[0] if second else ""
        raise InputError(
            f"{labelled.table}: line 2: there is no image {_quoted(name)} in "
            f"{labelled.folder}"
        )
    named = [i for i, value in enumerate(first) if value.strip().lower() in LABELS]
    if not has_names or not named:
        named = [i for i in range(len(first)) if i != at[0]] if len(first) <= 2 else []  # noqa: PLR2004
    if len(named) != 1:
        raise InputError(
            f"{labelled.table}: it is not clear which column is the label; add a first "
            "line with the names of the columns, such as file,label"
        )
    files = [i for i in at if i != named[0]]
    if not files:
        raise InputError(f"{labelled.table}: has no column with the names of the images")
    return files[0], named[0], has_names


def _has_suffix(name: str) -> bool:
    return PurePath(name.strip()).suffix.lower() in image_input.SUFFIXES


def _normal(name: str) -> str:
    return class_name(name.replace("\\", "/")).removeprefix("./")


def _quoted(name: str) -> str:
    return repr(printable(name[:100]))
