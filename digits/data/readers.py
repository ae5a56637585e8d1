"""Readers of data sets in files: npz, IDX and image folders, with names of classes.

No module here uses the network; `mirrors` does.
"""

import gzip
import json
import math
import os
import zlib
from pathlib import Path

import numpy as np

from digits.data import dataset, files, regular
from digits.data.dataset import Dataset
from digits.data.ignore import NOTHING, Ignored
from digits.errors import InputError

# The four files of an IDX data set, by the names of the arrays in Keras's npz.
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

# The files that may hold the names of the classes, in the same folder as the data.
NAMES_FILES = ("names.txt", "names.json")


def read_custom(source: str, root: Path) -> Dataset:
    """Read custom data, which has no known checksum: DVC must notice when it changes.

    Args:
        source: Its path, under data/own/.
        root: The project's folder.

    Raises:
        InputError: If a folder in it is a symbolic link, which DVC does not follow; if
            .dvcignore lists it; or as `read` does.
    """
    path, own = root / source, root / "data/own"
    ignored = Ignored(root)
    above = [folder for folder in (path, *path.parents) if own in folder.parents]
    below = (Path(top) / name for top, folders, _ in os.walk(path) for name in folders)
    for folder in (*reversed(above), *below):
        if folder.is_symlink() and folder.is_dir():
            raise InputError(
                f"{folder}: is a symbolic link to a folder, which DVC does not follow, so "
                "it would not notice when the data changes. Replace the link with a copy "
                "of the folder (or move the folder here; `dvc add` keeps its versions)"
            )
    if ignored(path, folder=path.is_dir()):
        raise InputError(
            f"{path}: DVC would not notice when it changes, because .dvcignore lists its "
            "name, or that of a folder that contains it; give it another name"
        )
    return read(path, ignored)


def read(path: Path, ignored: Ignored = NOTHING) -> Dataset:
    """Read an npz file, or a folder that holds one, IDX files, or images by class.

    The names of the classes are those of the images' folders, the npz's array `names`, or
    the lines of a file next to the data (`NAMES_FILES`). Otherwise the labels are the
    names.

    Args:
        path: The file or the folder.
        ignored: Which files in the folder to leave out.

    Raises:
        InputError: If there is no such data at `path`, or it is damaged, or if a class has
            test images but no training image.
    """
    data = _read(path, ignored)
    train, test = (dataset.labels_in(split.labels) for split in data.splits.values())
    if untrained := [data.names[label] for label in test if label not in train]:
        raise InputError(
            f"{path}: the test data has images of {', '.join(untrained)}, but the training "
            "data has none, so no model could predict it; add training images or remove "
            "these test images"
        )
    return data


def _read(path: Path, ignored: Ignored) -> Dataset:
    """Read data in any of the formats, as `read` does."""
    if path.is_dir():
        if (path / "train").is_dir():
            # imports Pillow, which no other format needs
            from digits.data import image_folder  # noqa: PLC0415

            return image_folder.read(path, ignored)
        found = sorted(file for file in path.glob("*.npz") if not ignored(file))
        if len(found) > 1:
            raise InputError(
                f"{path}: has {len(found)} npz files; set source to one of them"
            )
        return _read_npz(found[0]) if found else _read_idx_folder(path)
    return _read_npz(path)


def _read_npz(path: Path) -> Dataset:
    """Read a data set in an npz file, with its names or those in a file next to it."""
    if not path.exists():
        raise InputError(f"{path}: does not exist; it is `dataset.source` in params.yaml")
    if not path.is_file():
        raise InputError(f"{path}: is not a file")
    try:
        arrays = files.read_npz(path, IDX_NAMES, optional=("names",), among_others=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as npz: {error}") from error
    names = _read_names(path.parent)
    if "names" in arrays:
        if names is not None:
            raise InputError(
                f"{path}: has names of the classes, and so has a file next to it; "
                "remove one of the two"
            )
        given = arrays.pop("names")
        if given.ndim != 1 or given.dtype.kind != "U":
            raise InputError(
                f"{path}: names must be a one-dimensional array of strings, got "
                f"{given.dtype}, {given.shape}"
            )
        names = given.tolist()
    return dataset.from_arrays(arrays, path, names)


def _read_names(folder: Path) -> list[str] | None:
    """Read the names of the classes in a folder with data, in the order of the labels.

    A text file has one name per line, a JSON file a list.

    Returns:
        The names; None if there is no such file.

    Raises:
        InputError: If there are two files, or one cannot be read.
    """
    known = [folder / name for name in NAMES_FILES]
    found = [path for path in known if path.exists() or path.is_symlink()]
    if not found:
        return None
    path = found[0]
    if len(found) > 1:
        raise InputError(f"{path}: there is also {found[1].name}; remove one of them")
    try:
        text = regular.text(path, encoding="utf-8-sig")
        names = json.loads(text) if path.suffix == ".json" else text.strip().splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f'{path}: must be a list of strings, such as ["cat", "dog"]')
    return names


def _read_idx_folder(folder: Path) -> Dataset:
    """Read the four IDX files in a folder, gzipped or not."""
    arrays = {}
    for array, name in IDX_NAMES.items():
        candidates = [folder / name, folder / f"{name}.gz"]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise InputError(
                f"{folder}: has no npz file, no {name}[.gz] and no folder train with a "
                "folder of images for each class"
            )
        arrays[array] = read_idx(path)
    return dataset.from_arrays(arrays, folder, _read_names(folder))


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzipped if its name ends in `.gz`.

    The format: two zero bytes, the type (8: uint8), the number of dimensions, each
    dimension as a big-endian uint32, then the values in C order. Source: LeCun, Cortes
    and Burges, "The MNIST database of handwritten digits".

    Returns:
        An array of uint8, with the file's dimensions.

    Raises:
        InputError: If the header is another, or the length is not what it says.
    """
    is_zipped = path.suffix == ".gz"
    most = files.max_unpacked_bytes(path) if is_zipped else path.stat().st_size
    try:
        with gzip.open(path) if is_zipped else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:3] != b"\x00\x00\x08":  # noqa: PLR2004
                raise InputError(f"{path}: is not an IDX file of unsigned bytes")
            shape = np.frombuffer(file.read(4 * magic[3]), ">u4").tolist()
            length = math.prod(shape)
            if length > most:  # before a wrong header takes memory
                raise InputError(f"{path}: is too short for its header, {shape}")
            values = file.read(length + 1)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as IDX: {error}") from error
    if len(shape) != magic[3] or len(values) != length:
        raise InputError(f"{path}: is truncated or too long for its header, {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape)
