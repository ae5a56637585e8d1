"""Labelled images: their checks, how they are counted, how they lie on disk."""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits.data import regular
from digits.data.files import read_npy, replacing, write_json, write_npy
from digits.errors import InputError, printable

DIGITS = tuple("0123456789")

# What images and labels of one's own may be.
MAX_CLASSES = 100
MAX_SIDE = 64  # a side
MAX_NAME_LENGTH = 100  # characters; tables and pages repeat it for each pair of classes

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")  # by the names of Keras's npz


class Split(NamedTuple):
    """Images and their labels.

    images: (n_samples, height, width) uint8, grey values from 0 to 255
    labels: (n_samples,) uint8, numbers of classes
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A training and a test split.

    names: what the classes are called; label i is `names[i]`
    """

    train: Split
    test: Split
    names: tuple[str, ...] = DIGITS

    @property
    def splits(self) -> dict[str, Split]:
        """Both splits, by their names."""
        return {"train": self.train, "test": self.test}


def class_name(text: str) -> str:
    """Return a class's name as it is kept: in Unicode's form NFC, no space around it."""
    return unicodedata.normalize("NFC", text).strip()


def from_arrays(
    arrays: dict[str, np.ndarray], origin: object, names: Sequence[str] | None = None
) -> Dataset:
    """Check the four arrays and bring them to the canonical form.

    arrays: `x_train`, `y_train`, `x_test`, `y_test`, integers of any width
    origin: named in the error
    names: of the classes, in the order of their labels; None: the labels are the names

    Raises `InputError` if an array is missing, has another shape or type, holds a grey
    value outside 0..255 or a label outside 0..99; if an image is larger than 64 by 64,
    there is only one class, or a label has no name.
    """
    missing = [name for name in ARRAY_NAMES if name not in arrays]
    if missing:
        raise InputError(f"{origin}: no array {', '.join(missing)} in it")
    train, test = (
        Split(
            _as_bytes(arrays[f"x_{split}"], 3, 255, f"{origin}: x_{split}"),
            _as_bytes(arrays[f"y_{split}"], 1, MAX_CLASSES - 1, f"{origin}: y_{split}"),
        )
        for split in ("train", "test")
    )
    for split, name in ((train, "train"), (test, "test")):
        if len(split.images) != len(split.labels):
            raise InputError(
                f"{origin}: x_{name} has {len(split.images)} images, "
                f"but y_{name} has {len(split.labels)} labels"
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise InputError(
            f"{origin}: the images of x_train are {_size(train)} pixels, "
            f"those of x_test {_size(test)}"
        )
    if max(train.images.shape[1:]) > MAX_SIDE:
        raise InputError(
            f"{origin}: the images are {_size(train)} pixels; make them at most "
            f"{MAX_SIDE} by {MAX_SIDE}"
        )
    if (train.labels == train.labels[0]).all():
        raise InputError(f"{origin}: all of y_train is {train.labels[0]}: only one class")
    n_labels = int(max(train.labels.max(), test.labels.max())) + 1
    if names is None:
        return Dataset(train, test, tuple(map(str, range(n_labels))))
    checked = check_names(names, origin)
    if len(checked) < n_labels:
        raise InputError(
            f"{origin}: there are {len(checked)} names of classes, but labels go to "
            f"{n_labels - 1}, counted from 0"
        )
    return Dataset(train, test, checked)


def check_names(names: Sequence[str], origin: object) -> tuple[str, ...]:
    """Return names of classes as they are kept.

    Raises `InputError` if one is empty, longer than 100 characters, given twice or holds
    what is no printed character, or if there are fewer than 2 or more than 100.
    """
    found = tuple(map(class_name, names))
    if not 1 < len(found) <= MAX_CLASSES:
        raise InputError(
            f"{origin}: has names of {len(found)} classes; there may be 2 to {MAX_CLASSES}"
        )
    for name in found:
        if not name:
            raise InputError(f"{origin}: the name of a class is empty")
        if len(name) > MAX_NAME_LENGTH:
            raise InputError(
                f"{origin}: the class {name[:20]!a}… has a name of {len(name):,} "
                f"characters; there may be {MAX_NAME_LENGTH}"
            )
        if printable(name) != name:
            raise InputError(
                f"{origin}: the class {name!a} has a character in its name "
                "that can't be printed"
            )
        if found.count(name) > 1:
            raise InputError(f"{origin}: two classes are called {name!r}")
    return found


def _as_bytes(array: np.ndarray, ndim: int, highest: int, where: str) -> np.ndarray:
    """Return `array` as contiguous uint8, or refuse it."""
    if array.ndim != ndim or array.size == 0:
        raise InputError(f"{where} needs {ndim} dimensions, none empty, got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{where} must hold integers, got {array.dtype}")
    if array.min() < 0 or array.max() > highest:
        raise InputError(
            f"{where} must hold values from 0 to {highest}, "
            f"got {array.min()} to {array.max()}"
        )
    return np.ascontiguousarray(array, dtype=np.uint8)


def _size(split: Split) -> str:
    return " by ".join(map(str, split.images.shape[1:]))


def sha256(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes in C order, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def checksums(dataset: Dataset) -> dict[str, str]:
    """Return the SHA-256 of each of the four arrays."""
    return {
        f"{letter}_{name}": sha256(array)
        for name, split in dataset.splits.items()
        for letter, array in zip("xy", split, strict=True)
    }


def select(split: Split, labels: Sequence[int]) -> Split:
    """Return the images of those `labels` alone, in the order they had."""
    kept = np.isin(split.labels, labels)
    return split if kept.all() else Split(split.images[kept], split.labels[kept])


def summary(dataset: Dataset) -> dict[str, Any]:
    """Return count, shape and type of each split, and the images of each class."""
    labels = np.union1d(dataset.train.labels, dataset.test.labels)
    splits = {
        name: {
            "images": len(split.images),
            "shape": list(split.images.shape),
            "dtype": str(split.images.dtype),
        }
        for name, split in dataset.splits.items()
    }
    counts = [
        {
            "split": name,
            "class": dataset.names[label],
            "images": int(np.count_nonzero(split.labels == label)),
        }
        for name, split in dataset.splits.items()
        for label in labels
    ]
    return {**splits, "images_per_class": counts}


def save(folder: Path, dataset: Dataset) -> None:
    """Write `train/` and `test/`, each with `images.npy` and `labels.npy`, and names.

    `classes.json` has the names of the classes. The same data gives the same bytes.
    """
    with replacing(folder) as temporary:
        for name, split in dataset.splits.items():
            (temporary / name).mkdir(parents=True)
            for field, array in split._asdict().items():
                write_npy(temporary / name / f"{field}.npy", array)
        write_json(temporary / "classes.json", list(dataset.names))


def load(folder: Path) -> Dataset:
    """Read what `save` wrote. Raises `InputError` as `load_split` does."""
    names = load_names(folder)
    loaded = Dataset(load_split(folder / "train"), load_split(folder / "test"), names)
    highest = max(split.labels.max() for split in loaded.splits.values())
    if highest >= len(names):
        raise _unusable(
            folder, f"has the label {highest}, but names of {len(names)} classes"
        )
    sizes = {split.images.shape[1:] for split in loaded.splits.values()}
    if len(sizes) > 1:
        raise _unusable(folder, f"the images of its splits differ in size: {sizes}")
    return loaded


def load_names(folder: Path) -> tuple[str, ...]:
    """Read the names of the classes. Raises `InputError` as `load_split` does."""
    path = folder / "classes.json"
    try:
        names = json.loads(regular.text(path))
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ValueError("is no list of names")  # noqa: TRY301 (as damaged)
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(path, f"cannot be read ({error})") from error
    try:
        return check_names(names, path)
    except InputError as error:
        raise InputError(f"{error}; `dvc repro` writes it anew") from error


def load_split(folder: Path) -> Split:
    """Read one split of what `save` wrote.

    Raises `InputError` if a file is missing or damaged, or does not belong there.
    """
    extra = {path.stem for path in folder.glob("*.npy")} - set(Split._fields)
    if extra:
        raise _unusable(folder, f"{', '.join(sorted(extra))} does not belong there")
    arrays = []
    for field in Split._fields:
        path = folder / f"{field}.npy"
        try:
            array = read_npy(path)
        except (OSError, ValueError) as error:
            raise _unusable(path, f"cannot be read ({error})") from error
        if array.dtype != np.uint8:
            raise _unusable(path, f"holds {array.dtype}, not uint8")
        arrays.append(array)
    split = Split(*arrays)
    if split.images.ndim != 3 or split.labels.shape != split.images.shape[:1]:  # noqa: PLR2004
        raise _unusable(
            folder,
            f"images {split.images.shape} and labels {split.labels.shape} "
            "do not belong together",
        )
    if split.images.size == 0:
        raise _unusable(folder, f"there is nothing in images {split.images.shape}")
    return split


def _unusable(path: Path, problem: str) -> InputError:
    return InputError(f"{path}: {problem}; `dvc repro` writes it anew")
