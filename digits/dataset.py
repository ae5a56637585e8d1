"""Labelled images: their checks, how they are counted, how they lie on disk."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits.errors import InputError
from digits.files import replacing

# SHA-256 of the arrays' bytes in C order, as read from the IDX files of
# LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


class Split(NamedTuple):
    """Images and their labels.

    images: (n_samples, height, width) uint8, grey values from 0 to 255
    labels: (n_samples,) uint8, digits from 0 to 9
    """

    images: np.ndarray
    labels: np.ndarray


class Dataset(NamedTuple):
    """A training and a test split."""

    train: Split
    test: Split


def from_arrays(arrays: dict[str, np.ndarray], origin: object) -> Dataset:
    """Check the four arrays and bring them to the canonical form.

    arrays: `x_train`, `y_train`, `x_test`, `y_test`, integers of any width
    origin: named in the error

    Raises `InputError` if an array is missing, has another shape or type, holds a
    grey value outside 0..255 or a label outside 0..9.
    """
    missing = [name for name in MNIST_SHA256 if name not in arrays]
    if missing:
        raise InputError(f"{origin}: no array {', '.join(missing)} in it")
    splits = [
        Split(
            _as_bytes(arrays[f"x_{split}"], 3, 255, f"{origin}: x_{split}"),
            _as_bytes(arrays[f"y_{split}"], 1, 9, f"{origin}: y_{split}"),
        )
        for split in ("train", "test")
    ]
    for split, name in zip(splits, ("train", "test"), strict=True):
        if len(split.images) != len(split.labels):
            raise InputError(
                f"{origin}: x_{name} has {len(split.images)} images, "
                f"but y_{name} has {len(split.labels)} labels"
            )
    dataset = Dataset(*splits)
    if dataset.train.images.shape[1:] != dataset.test.images.shape[1:]:
        raise InputError(
            f"{origin}: the images of x_train are {_size(dataset.train)} pixels, "
            f"those of x_test {_size(dataset.test)}"
        )
    return dataset


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
        for name, split in dataset._asdict().items()
        for letter, array in zip("xy", split, strict=True)
    }


def check_mnist(dataset: Dataset, origin: object) -> None:
    """Raise `InputError` unless the four arrays are MNIST's, to the byte."""
    for name, actual in checksums(dataset).items():
        if actual != MNIST_SHA256[name]:
            raise InputError(
                f"{origin}: {name} is not MNIST's: its SHA-256 is {actual}, "
                f"expected {MNIST_SHA256[name]}"
            )


def select(split: Split, digits: tuple[int, ...]) -> Split:
    """Return the images of `digits` alone, in the order they had."""
    kept = np.isin(split.labels, digits)
    return Split(split.images[kept], split.labels[kept])


def summary(dataset: Dataset) -> dict[str, Any]:
    """Return count, shape and type of each split, and the images of each digit."""
    return {
        name: {
            "images": len(split.images),
            "shape": list(split.images.shape),
            "dtype": str(split.images.dtype),
            "images_per_digit": {
                str(digit): int(np.count_nonzero(split.labels == digit))
                for digit in np.union1d(dataset.train.labels, dataset.test.labels)
            },
        }
        for name, split in dataset._asdict().items()
    }


def save(folder: Path, dataset: Dataset) -> None:
    """Write `train/` and `test/`, each with `images.npy` and `labels.npy`.

    The same arrays give the same bytes.
    """
    with replacing(folder) as temporary:
        for name, split in dataset._asdict().items():
            (temporary / name).mkdir(parents=True)
            for field, array in split._asdict().items():
                np.save(temporary / name / f"{field}.npy", array, allow_pickle=False)


def load(folder: Path) -> Dataset:
    """Read what `save` wrote. Raises `InputError` as `load_split` does."""
    return Dataset(load_split(folder / "train"), load_split(folder / "test"))


def load_split(folder: Path) -> Split:
    """Read one split of what `save` wrote.

    Raises `InputError` if a file is missing or damaged.
    """
    arrays = []
    for field in Split._fields:
        path = folder / f"{field}.npy"
        try:
            arrays.append(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}); `dvc repro` writes it anew"
            ) from error
    split = Split(*arrays)
    if split.images.ndim != 3 or split.labels.shape != split.images.shape[:1]:  # noqa: PLR2004
        raise InputError(
            f"{folder}: images {split.images.shape} and labels {split.labels.shape} "
            "do not belong together; `dvc repro` writes them anew"
        )
    return split
