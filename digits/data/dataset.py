"""Labelled images: checks, counts, and the format of their files."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits.data import large, regular
from digits.data.files import read_npy, replacing, unusable, write_json, write_npy
from digits.errors import InputError, printable

DIGITS = tuple("0123456789")

# Limits of custom data.
MAX_CLASSES = 100
MAX_SIDE = 64  # pixels
MAX_NAME_LENGTH = 100  # characters; tables and pages repeat it for each pair of classes

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")  # as in Keras's mnist.npz


class Split(NamedTuple):
    """Images and their labels.

    Attributes:
        images: (n_samples, height, width) uint8, grey values from 0 to 255.
        labels: (n_samples,) uint8, numbers of classes.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A training and a test split.

    Attributes:
        train: The training images.
        test: The test images.
        names: The names of the classes; label i is `names[i]`.
    """

    train: Split
    test: Split
    names: tuple[str, ...] = DIGITS

    @property
    def splits(self) -> dict[str, Split]:
        """Both splits, by their names."""
        return {"train": self.train, "test": self.test}


def class_name(text: str) -> str:
    """Return a class's name in Unicode's form NFC, without space around it."""
    return unicodedata.normalize("NFC", text).strip()


def from_arrays(
    arrays: dict[str, np.ndarray], origin: object, names: Sequence[str] | None = None
) -> Dataset:
    """Check the four arrays and convert them to uint8.

    Args:
        arrays: `x_train`, `y_train`, `x_test` and `y_test`: integers of any width, images
            (n_samples, height, width) from 0 to 255, labels (n_samples,) from 0 to 99.
        origin: Where they are from, for the error.
        names: The names of the classes, in the order of their labels; None if the labels
            are the names.

    Raises:
        InputError: If an array is missing or has another shape, type or range; if an image
            is larger than 64 by 64, there is only one class, or a label has no name.
    """
    missing = [name for name in ARRAY_NAMES if name not in arrays]
    if missing:
        raise InputError(f"{origin}: has no array {', '.join(missing)}")
    train, test = (
        Split(
            as_bytes(arrays[f"x_{split}"], 3, 255, f"{origin}: x_{split}"),
            as_bytes(arrays[f"y_{split}"], 1, MAX_CLASSES - 1, f"{origin}: y_{split}"),
        )
        for split in ("train", "test")
    )
    _check_sizes(train, test, origin)
    if (train.labels == train.labels[0]).all():
        raise InputError(f"{origin}: all of y_train is {train.labels[0]}: only one class")
    n_labels = int(max(train.labels.max(), test.labels.max())) + 1
    if names is None:
        return Dataset(train, test, tuple(map(str, range(n_labels))))
    checked = check_names(names, origin)
    if len(checked) < n_labels:
        raise InputError(
            f"{origin}: there are {len(checked)} names of classes, but the largest label "
            f"is {n_labels - 1}, and labels start at 0"
        )
    return Dataset(train, test, checked)


def _check_sizes(train: Split, test: Split, origin: object) -> None:
    """Raise `InputError` if a split's arrays or the images differ in size, or are large."""
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
            f"{MAX_SIDE} by {MAX_SIDE}, or set dataset.size in params.yaml, such as to "
            "[28, 28]"
        )


def check_names(names: Sequence[str], origin: object) -> tuple[str, ...]:
    """Return names of classes, each as `class_name` returns it.

    Args:
        names: The names.
        origin: Where they are from, for the error.

    Raises:
        InputError: If a name is empty, longer than 100 characters, given twice or has a
            character that cannot be printed, or if there are fewer than 2 or more than
            100 names.
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
                "that cannot be printed"
            )
        if found.count(name) > 1:
            raise InputError(f"{origin}: two classes are called {name!r}")
    return found


def as_bytes(array: np.ndarray, ndim: int, highest: int, where: str) -> np.ndarray:
    """Return an array as contiguous uint8, if it has integers in the right range.

    Args:
        array: The array.
        ndim: How many dimensions it must have.
        highest: The largest value that it may have; the smallest is 0.
        where: What to call it in the error.

    Raises:
        InputError: If it has other values or dimensions.
    """
    if array.ndim != ndim or array.size == 0:
        raise InputError(f"{where} needs {ndim} dimensions, none empty, got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{where} must hold integers, got {array.dtype}")
    if array.min() < 0 or array.max() > highest:
        raise InputError(
            f"{where} must hold values from 0 to {highest}, "
            f"got {array.min()} to {array.max()}"
        )
    if array.dtype == np.uint8 and array.flags.c_contiguous:
        return array
    return large.joined((array[rows] for rows in large.slices(len(array))), array.shape)


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
    """Return the images with those `labels`, in the same order."""
    kept = np.isin(split.labels, labels)
    return split if kept.all() else Split(*(large.chosen(array, kept) for array in split))


def labels_in(labels: np.ndarray) -> list[int]:
    """Return the labels that occur, ascending; `np.unique` imports all of `numpy.ma`."""
    return np.flatnonzero(np.bincount(labels)).tolist()


def summary(dataset: Dataset, factor: int = 1) -> dict[str, Any]:
    """Return count, shape and type of each split, and the number of images per class.

    Args:
        dataset: The images.
        factor: How many times as many training images there are, with altered copies.
    """
    times = {"train": factor, "test": 1}
    labels = labels_in(np.concatenate([dataset.train.labels, dataset.test.labels]))
    splits = {
        name: {
            "images": times[name] * len(split.images),
            "shape": [times[name] * len(split.images), *split.images.shape[1:]],
            "dtype": str(split.images.dtype),
        }
        for name, split in dataset.splits.items()
    }
    counts = [
        {
            "split": name,
            "class": dataset.names[label],
            "images": times[name] * int(np.count_nonzero(split.labels == label)),
        }
        for name, split in dataset.splits.items()
        for label in labels
    ]
    return {**splits, "images_per_class": counts}


def save(
    folder: Path, dataset: Dataset, copies: Iterable[np.ndarray] = (), factor: int = 1
) -> None:
    """Write a data set to a folder; the same data gives the same bytes.

    The folder has `train/` and `test/`, each with `images.npy` and `labels.npy`, and
    `classes.json` with the names of the classes.

    Args:
        folder: It is replaced.
        dataset: The images.
        copies: Altered copies of all training images, which are written after them.
        factor: How many times as many training images there are then.
    """
    with replacing(folder) as temporary:
        for name, split in dataset.splits.items():
            (temporary / name).mkdir(parents=True)
            times = factor if name == "train" else 1
            more = copies if name == "train" else ()
            rows = times * len(split.images)
            write_npy(temporary / name / "images.npy", split.images, more, rows)
            write_npy(temporary / name / "labels.npy", np.tile(split.labels, times))
        write_json(temporary / "classes.json", list(dataset.names))


def load(folder: Path) -> Dataset:
    """Read what `save` wrote.

    Raises:
        InputError: If a file is missing or damaged, or the files do not match.
    """
    names = load_names(folder)
    loaded = Dataset(load_split(folder / "train"), load_split(folder / "test"), names)
    highest = max(split.labels.max() for split in loaded.splits.values())
    if highest >= len(names):
        raise unusable(
            folder, f"has the label {highest}, but names of {len(names)} classes"
        )
    sizes = {split.images.shape[1:] for split in loaded.splits.values()}
    if len(sizes) > 1:
        raise unusable(folder, f"the images of its splits differ in size: {sizes}")
    return loaded


def load_names(folder: Path) -> tuple[str, ...]:
    """Read the names of the classes, in the order of their labels.

    Raises:
        InputError: If the file is missing or damaged.
    """
    path = folder / "classes.json"
    try:
        names = json.loads(regular.text(path))
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ValueError("it is not a list of names")  # noqa: TRY301 (as damaged)
    except (OSError, ValueError, RecursionError) as error:
        raise unusable(path, f"cannot be read ({error})") from error
    try:
        return check_names(names, path)
    except InputError as error:
        raise unusable(path, str(error).removeprefix(f"{path}: ")) from error


def load_split(folder: Path) -> Split:
    """Read one split of what `save` wrote.

    Raises:
        InputError: If a file is missing or damaged, or does not belong in the folder.
    """
    extra = {path.stem for path in folder.glob("*.npy")} - set(Split._fields)
    if extra:
        raise unusable(folder, f"{', '.join(sorted(extra))} does not belong in this folder")
    arrays = []
    for field in Split._fields:
        path = folder / f"{field}.npy"
        try:
            array = read_npy(path, large.MAPPED_FROM)
        except (OSError, ValueError) as error:
            raise unusable(path, f"cannot be read ({error})") from error
        if array.dtype != np.uint8:
            raise unusable(path, f"holds {array.dtype}, not uint8")
        arrays.append(array)
    split = Split(*arrays)
    if split.images.ndim != 3 or split.labels.shape != split.images.shape[:1]:  # noqa: PLR2004
        raise unusable(
            folder,
            f"has images of shape {split.images.shape}, but labels of shape "
            f"{split.labels.shape}",
        )
    if split.images.size == 0:
        raise unusable(folder, f"has no images: their shape is {split.images.shape}")
    return split
