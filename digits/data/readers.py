"""Readers of data sets in files and folders, in all formats of docs/data.md.

No module here uses the network; `mirrors` does.
"""

import gzip
import json
import logging
import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np

from digits.data import (
    archives,
    arrays,
    csv_table,
    dataset,
    files,
    hdf5,
    large,
    matlab,
    parquet,
    regular,
    roles,
    shards,
)
from digits.data.dataset import ARRAY_NAMES, Dataset
from digits.data.ignore import NOTHING, Ignored, is_of_system
from digits.data.options import KEEP, Options
from digits.errors import InputError, printable

log = logging.getLogger(__name__)

# The four files of an IDX data set, by the names of the arrays in Keras's npz.
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

# The files that may hold the names of the classes, in the same folder as the data.
NAMES_FILES = ("names.txt", "names.json")


def read_custom(source: str, root: Path, options: Options = KEEP) -> Dataset:
    """Read custom data, which has no known checksum: DVC must notice when it changes.

    Args:
        source: Its path, under data/own/.
        root: The project's folder.
        options: How to read the images, and how to change them.

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
    return read(path, ignored, options)


# The types of an IDX file's values, by the third byte.
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
IDX_FILE = re.compile(r"ubyte|idx\d", re.IGNORECASE)
MAX_DEPTH = 3  # of an IDX file below the source, such as MNIST/raw/…
ARRAYS_SUFFIXES = (".mat", ".h5", ".hdf5", ".hdf")
CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def read(path: Path, ignored: Ignored = NOTHING, options: Options = KEEP) -> Dataset:
    """Read a file or a folder in any of the formats that docs/data.md lists.

    The names of the classes are those of the images' folders, labels that are texts, names
    in the file, or the lines of a file next to the data (`NAMES_FILES`). Otherwise the
    labels are the names.

    Args:
        path: The file or the folder.
        ignored: Which files in the folder to leave out.
        options: How to read the images, and how to change them.

    Raises:
        InputError: If there is no such data at `path`, or it is damaged, or if a class has
            test images but no training image.
    """
    data = _read(path, ignored, options)
    train, test = (dataset.labels_in(split.labels) for split in data.splits.values())
    if untrained := [data.names[label] for label in test if label not in train]:
        raise InputError(
            f"{path}: the test data has images of {', '.join(untrained)}, but the training "
            "data has none, so no model could predict it; add training images or remove "
            "these test images"
        )
    arrays.warn_if_dark(data.train.images, path)
    arrays.warn_if_blank(data, path)
    return data


def _read(path: Path, ignored: Ignored, options: Options) -> Dataset:
    """Read data in any of the formats, as `read` does."""
    if path.is_dir():
        return _read_folder(path, ignored, options)
    if not path.exists():
        raise InputError(f"{path}: does not exist; it is `dataset.source` in params.yaml")
    if not path.is_file():
        raise InputError(f"{path}: is not a file")
    if archives.is_archive(path):
        log.debug("an archive")
        with archives.unpacked(path) as folder:
            return _read_folder(folder, NOTHING, options)
    if path.name.lower().endswith(CSV_SUFFIXES):
        return _read_csv(path, [path], options)
    if path.suffix.lower() == parquet.SUFFIX:
        return _read_parquet(path, [path], options)
    if path.suffix.lower() in ARRAYS_SUFFIXES:
        return _read_arrays(path, [path], options)
    return _read_npz(path, options)


class _Folder(NamedTuple):
    """A folder that may hold data.

    Attributes:
        path: The folder.
        found: The files and folders in it, sorted, except what is left out.
        ignored: Which files to leave out.
    """

    path: Path
    found: list[Path]
    ignored: Ignored

    def ending(self, *suffixes: str) -> list[Path]:
        """Return the files whose names end in one of the suffixes."""
        return [path for path in self.found if path.name.lower().endswith(suffixes)]

    @property
    def folders(self) -> list[Path]:
        """The folders in it that are not hidden."""
        return [p for p in self.found if p.is_dir() and not p.name.startswith(".")]


def _read_folder(path: Path, ignored: Ignored, options: Options) -> Dataset:
    """Read the data in a folder, in the first of the formats that is there."""
    found = sorted(p for p in path.glob("*") if not (ignored(p) or is_of_system(p)))
    folder = _Folder(path, found, ignored)
    for read_as in (
        _shards,
        _labelled_images,
        _images_of_splits,
        _arrays,
        _parquet,
        _scientific,
        _tables,
        _only_folder,
        _images_of_classes,
        _only_archive,
    ):
        if data := read_as(folder, options):
            return data
    raise InputError(
        f"{path}: has no npz, npy, CSV, Parquet, MATLAB or HDF5 file, no "
        f"{IDX_NAMES['x_train']}[.gz], no archive, and no folder train with a folder of "
        "images for each class; put images into a folder for each class, as in cat/1.png, "
        "or list them in a labels.csv, as in 1.png,cat"
    )


def _shards(folder: _Folder, options: Options) -> Dataset | None:
    found = shards.find(folder.path, folder.ignored)
    if not found:
        return None
    log.debug("npy files in shards")
    used = shards.read(_used(found, folder.path))
    return arrays.to_dataset(used, folder.path, _read_names(folder.path), options)


def _labelled_images(folder: _Folder, options: Options) -> Dataset | None:
    tables = folder.ending(".csv")
    if not tables and "train" not in roles.split_folders(folder.path):
        return None
    from digits.data import labelled_folder  # noqa: PLC0415 (imports Pillow)

    found = labelled_folder.find(folder.path, tables, folder.ignored)
    if not found:
        return None
    names = _read_names(folder.path)
    log.debug("images, with their labels in a CSV file")
    return labelled_folder.read(folder.path, found, folder.ignored, options, names)


def _images_of_splits(folder: _Folder, options: Options) -> Dataset | None:
    if "train" not in roles.split_folders(folder.path):
        return None
    return _read_images(folder.path, folder.ignored, options)


def _images_of_classes(folder: _Folder, options: Options) -> Dataset | None:
    if not any(map(_has_images, folder.folders)):
        return None
    return _read_images(folder.path, folder.ignored, options)


def _arrays(folder: _Folder, options: Options) -> Dataset | None:
    """Read one npz file, or a file of each array."""
    npz = folder.ending(".npz")
    if len(npz) == 1:
        return _read(npz[0], folder.ignored, options)
    parts, read_part = _parts(folder.path, folder.found, npz, folder.ignored)
    if not parts:
        return None
    used = {name: read_part(path) for name, path in _used(parts, folder.path).items()}
    return arrays.to_dataset(used, folder.path, _read_names(folder.path), options)


def _parquet(folder: _Folder, options: Options) -> Dataset | None:
    """Read Parquet files in a folder, or in the only folder that has some."""
    found = folder.ending(parquet.SUFFIX)
    if not found:
        inside = [sorted(path.glob(f"*{parquet.SUFFIX}")) for path in folder.folders]
        filled = [files for files in inside if files]
        found = filled[0] if len(filled) == 1 else []
    if not found:
        return None
    return _read_parquet(folder.path, found, options)


def _read_parquet(origin: Path, found: list[Path], options: Options) -> Dataset:
    log.debug("Parquet, one image per row")
    names = _read_names(origin if origin.is_dir() else origin.parent)
    return parquet.read_dataset(origin, found, options, names)


def _scientific(folder: _Folder, options: Options) -> Dataset | None:
    found = folder.ending(*ARRAYS_SUFFIXES)
    return _read_arrays(folder.path, found, options) if found else None


def _tables(folder: _Folder, options: Options) -> Dataset | None:
    found = folder.ending(*CSV_SUFFIXES)
    return _read_csv(folder.path, found, options) if found else None


def _only_folder(folder: _Folder, options: Options) -> Dataset | None:
    """Read the folder in the folder, as in an archive, unless it is that of a class."""
    if len(folder.found) != 1 or not folder.folders or _has_images(folder.folders[0]):
        return None
    return _read_folder(folder.folders[0], folder.ignored, options)


def _only_archive(folder: _Folder, options: Options) -> Dataset | None:
    found = folder.ending(*archives.SUFFIXES)
    return _read(found[0], folder.ignored, options) if len(found) == 1 else None


def _parts(
    folder: Path, found: list[Path], npz: list[Path], ignored: Ignored
) -> tuple[dict[str, Path], Callable[[Path], np.ndarray]]:
    """Return the files that hold an array each, by their roles, and what reads one.

    Args:
        folder: The folder.
        found: The files and folders in it.
        npz: Those that are npz files.
        ignored: Which files to leave out.

    Raises:
        InputError: If it is not clear which file is which array.
    """
    if npz:
        parts = _by_role(npz)
        if len(parts) < len(npz):
            raise InputError(
                f"{folder}: has {len(npz)} npz files; set source to one of them"
            )
        log.debug("npz files, one for each array")
        return parts, _read_only_array
    npy = [path for path in found if path.suffix == ".npy"]
    if parts := _by_role(npy):
        for path in npy:
            other = parts.get(roles.role(path.stem, of_file=True) or "", path)
            if other != path:
                raise shards.is_twice(path, other)
        log.debug("npy files, one for each array")
        return parts, _read_npy
    if parts := _idx_files(folder, ignored):
        log.debug("IDX files, one for each array")
    return parts, read_idx


def _read_images(folder: Path, ignored: Ignored, options: Options) -> Dataset:
    # imports Pillow, which no other format needs
    from digits.data import image_folder  # noqa: PLC0415

    log.debug("a folder of images for each class")
    return image_folder.read(folder, ignored, options)


def _has_images(folder: Path) -> bool:
    from digits.images import image_input  # noqa: PLC0415 (imports Pillow)

    return any(path.suffix.lower() in image_input.SUFFIXES for path in folder.glob("*"))


def _by_role(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by the role that their names say; those without one are left out."""
    return {role: path for path in paths if (role := roles.role(path.stem, of_file=True))}


def _used(parts: dict[str, Any], origin: object) -> dict[str, Any]:
    """Return the parts that are used, by the arrays' names in Keras's npz.

    Parts without a split are of the training split; those for validation are not used.

    Args:
        parts: Anything, by its role.
        origin: Where they are from, for the log.
    """
    if any(name in parts for name in ("x_val", "y_val")):
        log.warning(
            "warning: %s: the validation images are not used; append them to the training "
            "images if you want to train on them",
            origin,
        )
    named = {"x": "x_train", "y": "y_train"}
    used = {named[name]: part for name, part in parts.items() if name in named}
    return used | {name: part for name, part in parts.items() if name in ARRAY_NAMES}


def _read_npz(path: Path, options: Options) -> Dataset:
    """Read a data set in an npz file, with its names or those in a file next to it."""
    log.debug("an npz file with an array for each part")
    parts = _npz_parts(path)
    try:
        found = files.read_npz(path, parts.values(), optional=("names",), among_others=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as npz: {error}") from error
    names = _read_names(path.parent)
    if "names" in found:
        if names is not None:
            raise InputError(
                f"{path}: has names of the classes, and so has a file next to it; "
                "remove one of the two"
            )
        given = found.pop("names")
        if given.ndim != 1 or given.dtype.kind != "U":
            raise InputError(
                f"{path}: names must be a one-dimensional array of strings, got "
                f"{given.dtype}, {given.shape}"
            )
        names = arrays.to_texts(given, f"{path}: a name of a class")
    used = {name: found[member] for name, member in parts.items()}
    return arrays.to_dataset(used, path, names, options)


def _npz_parts(path: Path) -> dict[str, str]:
    """Return the names of an npz file's arrays, by their names in Keras's npz.

    If the file cannot be opened, it is left to `files.read_npz` to say why.

    Raises:
        InputError: If it is not clear which arrays are the training images and labels.
    """
    as_in_keras = {name: name for name in ARRAY_NAMES}
    try:
        with regular.file(path).open("rb") as file, ZipFile(file) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, EOFError, BadZipFile, NotImplementedError, zlib.error):
        return as_in_keras
    if as_in_keras.keys() <= set(there):
        _used({role: role for name in there if (role := roles.role(name))}, path)
        return as_in_keras
    if "data" in there and "images" in there:  # scikit-learn's: the same, in rows
        there.remove("data")
    return _array_roles(there, path)


def _array_roles(
    there: Sequence[str], path: Path, *, of_file: bool = False
) -> dict[str, str]:
    """Return the names of a file's arrays, by their names in Keras's npz.

    Args:
        there: The names of all arrays.
        path: The file, for the error.
        of_file: Whether the names may have other words as well.

    Raises:
        InputError: If it is not clear which arrays are the training images and labels.
    """
    parts: dict[str, str] = {}
    for name in there:
        role = roles.role(name, of_file=of_file)
        if role and parts.setdefault(role, name) != name:
            raise InputError(
                f"{path}: both {parts[role]} and {name} could be {role}; rename one"
            )
    used = _used(parts, path)
    if not {"x_train", "y_train"} <= used.keys():
        raise InputError(
            f"{path}: has the arrays {_listed(there)}; name the images and labels x_train, "
            "y_train, x_test and y_test"
        )
    return used


def _listed(names: Sequence[str]) -> str:
    """Return some names in a sentence."""
    few = 10
    rest = f" and {len(names) - few} more" * (len(names) > few)
    return (printable(", ".join(names[:few])) or "none") + rest


def _read_only_array(path: Path) -> np.ndarray:
    """Read an npz file that holds one array, without a name, as KMNIST's do."""
    try:
        (array,) = files.read_npz(path, ("arr_0",)).values()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as npz: {error}") from error
    return array


def _read_npy(path: Path) -> np.ndarray:
    try:
        return files.read_npy(path, large.MAPPED_FROM)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as npy: {error}") from error


def _read_arrays(origin: Path, found: list[Path], options: Options) -> Dataset:
    """Read a file of MATLAB or HDF5, or one for each split.

    Args:
        origin: The file or the folder.
        found: The files.
        options: How to read the images, and how to change them.

    Raises:
        InputError: If a file is damaged, or it is not clear which array is which.
    """
    read_arrays: dict[str, np.ndarray] = {}
    names = _read_names(origin if origin.is_dir() else origin.parent)
    by_split = _by_split(origin, found, "MATLAB or HDF5")
    for split, path in by_split.items():
        is_matlab = matlab.is_matlab(path)
        log.debug("%s, with an array for each part", "MATLAB" if is_matlab else "HDF5")
        there = matlab.read(path) if is_matlab else hdf5.read(path)
        names = names or matlab.class_names(there)
        used = _array_roles(list(there), path, of_file=True)
        if len(by_split) > 1:  # each has one split
            used = {f"{role[0]}_{split}": name for role, name in used.items()}
        read_arrays |= {role: there[name] for role, name in used.items()}
    return arrays.to_dataset(read_arrays, origin, names, options)


def _by_split(origin: Path, found: list[Path], kind: str) -> dict[str, Path]:
    """Return files of a kind by the splits in their names, the training split first.

    Raises:
        InputError: If it is not clear which file is which split.
    """
    if len(found) == 1:
        return {"train": found[0]}
    by_split: dict[str, Path] = {}
    for path in found:
        split = roles.split_of(path.name)
        if split is None or split == "val":
            log.warning("warning: %s: is not read", path)
        elif by_split.setdefault(split, path) != path:
            raise InputError(
                f"{path}: there is also {by_split[split].name}; set source to one of them"
            )
    if "train" not in by_split:
        raise InputError(
            f"{origin}: has {len(found)} {kind} files, none of which has train in its name"
        )
    return dict(sorted(by_split.items(), reverse=True))


def _read_csv(origin: Path, tables: list[Path], options: Options) -> Dataset:
    """Read one CSV file, or one for each split.

    Args:
        origin: The file or the folder.
        tables: The files.
        options: How to read the images, and how to change them.

    Raises:
        InputError: If it is not clear which file is which split, or as `csv_table.read`.
    """
    log.debug("CSV, one image per line")
    found: dict[str, np.ndarray] = {}
    column = None
    for split, path in _by_split(origin, tables, "CSV").items():
        table = csv_table.read(path, column)
        column = table.column
        if table.labels is not None:
            found |= {f"x_{split}": table.images, f"y_{split}": table.labels}
        elif split == "train":
            raise InputError(f"{path}: has no column for the label")
        else:
            log.warning("warning: %s: has no labels, so it is not used", path)
    names = _read_names(origin if origin.is_dir() else origin.parent)
    return arrays.to_dataset(found, origin, names, options)


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


def _idx_files(folder: Path, ignored: Ignored) -> dict[str, Path]:
    """Return the IDX files in a folder and up to two folders in it, by their roles.

    The same name with and without `.gz`, or with another separator, is the same file.

    Raises:
        InputError: If there are several data sets, or a part of one is missing.
    """
    found: dict[str, dict[str, Path]] = {}
    paths = [
        path
        for path in ignored.files(folder)
        if IDX_FILE.search(path.name) and not path.name.startswith(".")
    ]
    # first those that are not compressed, then those in the folder itself
    for path in sorted(
        paths, key=lambda path: (path.suffix == ".gz", len(path.parts), path)
    ):
        below = path.relative_to(folder).parts
        role = roles.role(path.name, of_file=True)
        if role and path.is_file() and len(below) <= MAX_DEPTH:
            plain = path.name.lower().removesuffix(".gz")
            plain = re.sub(r"[^a-z0-9]", "", plain)
            found.setdefault(role, {}).setdefault(plain, path)
    for same in found.values():
        if len(same) > 1:
            first, second, *_ = same.values()
            raise InputError(
                f"{folder}: has {first.name} and {second.name}; put each data set "
                "into a separate folder"
            )
    for pair in (("x_train", "y_train"), ("x_test", "y_test")):
        missing = [IDX_NAMES[name] for name in pair if name not in found]
        if missing and found and (len(missing) == 1 or pair[0] == "x_train"):
            raise InputError(f"{folder}: has no {missing[0]}[.gz]")
    return {role: next(iter(same.values())) for role, same in found.items()}


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file, compressed by gzip or not, whatever its name.

    The format: two zero bytes, the type (8: uint8), the number of dimensions, each
    dimension as a big-endian uint32, then the values in C order. Source: LeCun, Cortes
    and Burges, "The MNIST database of handwritten digits".

    Returns:
        An array with the file's dimensions and type.

    Raises:
        InputError: If the header is another, or the length is not what it says.
    """
    try:
        with regular.file(path).open("rb") as file:
            is_zipped = file.read(2) == b"\x1f\x8b"
        most = files.max_unpacked_bytes(path) if is_zipped else path.stat().st_size
        with gzip.open(path) if is_zipped else path.open("rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\x00\x00" or magic[2] not in IDX_TYPES:  # noqa: PLR2004
                raise InputError(f"{path}: is not an IDX file")
            dtype = np.dtype(IDX_TYPES[magic[2]])
            shape = np.frombuffer(file.read(4 * magic[3]), ">u4").tolist()
            length = math.prod(shape) * dtype.itemsize
            if length > most:  # before a wrong header takes memory
                raise InputError(f"{path}: is too short for its header, {shape}")
            values = file.read(length + 1)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as IDX: {error}") from error
    if len(shape) != magic[3] or len(values) != length:
        raise InputError(f"{path}: is truncated or too long for its header, {shape}")
    return np.frombuffer(values, dtype).reshape(shape)
