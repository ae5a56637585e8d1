"""Images in Parquet files: as columns of pixels, as in CSV, or as Hugging Face stores them.

    label  pixel0  pixel1  …      or      image: {bytes, path}  label

A data set of Hugging Face has a file for each split, or several parts of it, such as
`data/train-00000-of-00001.parquet`; the names of the classes are in its metadata.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits.data import arrays, csv_table, files, regular, roles
from digits.data.dataset import Dataset
from digits.data.options import Options
from digits.errors import InputError
from digits.images.in_memory import Picture

log = logging.getLogger(__name__)

SUFFIX = ".parquet"
IMAGES = {"image", "images", "img", "picture"}
MOST_ROWS = 256  # that are read at a time
LONGEST_LABEL = 200  # characters that are kept; a name of a class has at most 100
MISSING = (
    "reading Parquet needs the package pyarrow; install it with `make setup EXTRAS=parquet`"
)


class Content(NamedTuple):
    """What is in the files of a split.

    Attributes:
        images: (n_samples, n_pixels) numbers, or the images' files.
        labels: (n_samples,) numbers or texts; None if there are none.
        names: The names of the classes, in the order of their labels, if they are known.
    """

    images: np.ndarray | list[Picture]
    labels: np.ndarray | None
    names: list[str] | None


def read_dataset(
    origin: Path, found: list[Path], options: Options, names: list[str] | None
) -> Dataset:
    """Read Parquet files, one or several for each split.

    Args:
        origin: The file or the folder.
        found: The files.
        options: How to read the images, and how to change them.
        names: The names of the classes, if the files have none.

    Raises:
        InputError: If pyarrow is missing, a file cannot be read, it is not clear which
            file is which split, or as `arrays.to_dataset` does.
    """
    by_split: dict[str, list[Path]] = {"train": found} if len(found) == 1 else {}
    for path in found[: 0 if by_split else None]:
        split = roles.split_of(path.stem)
        if split is None or split == "val":
            log.warning("warning: %s: is not read", path)
        else:
            by_split.setdefault(split, []).append(path)
    if "train" not in by_split:
        raise InputError(
            f"{origin}: has {len(found)} Parquet files, none of which has train in its name"
        )
    contents = {split: read(paths) for split, paths in by_split.items()}
    read_arrays: dict[str, np.ndarray] = {}
    pictures: dict[str, list[Picture]] = {}
    for split, content in contents.items():
        if content.labels is None:
            raise InputError(f"{by_split[split][0]}: has no column for the label")
        read_arrays[f"y_{split}"] = content.labels
        if isinstance(content.images, list):
            pictures[split] = content.images
        else:
            read_arrays[f"x_{split}"] = content.images
    if pictures and len(pictures) < len(contents):
        raise InputError(
            f"{origin}: one split has a column of images, and the other columns of pixels"
        )
    if pictures:
        from digits.data import image_folder  # noqa: PLC0415 (imports Pillow)

        loaded = image_folder.load_all(origin, options, pictures)
        read_arrays |= {f"x_{split}": part.images for split, part in loaded.items()}
        options = options.without_changes()
    return arrays.to_dataset(read_arrays, origin, contents["train"].names or names, options)


def read(paths: list[Path]) -> Content:
    """Read the files of a split, in their order.

    Raises:
        InputError: If pyarrow is missing, a file is damaged or would unpack to more than
            `files.max_unpacked_bytes`, or has no columns for images.
    """
    parts = [_read(path) for path in paths]
    names = next((part.names for part in parts if part.names), None)
    labels = [part.labels for part in parts if part.labels is not None]
    pictures = [p for part in parts if isinstance(part.images, list) for p in part.images]
    numbers = [part.images for part in parts if isinstance(part.images, np.ndarray)]
    if bool(pictures) == bool(numbers) or len(labels) not in (0, len(parts)):
        raise InputError(f"{paths[0]}: has no images, or other columns than {paths[-1]}")
    try:
        return Content(
            pictures or np.concatenate(numbers),
            np.concatenate(labels) if labels else None,
            names,
        )
    except ValueError as error:
        raise InputError(f"{paths[0]}: has other columns than {paths[-1]}") from error


def _read(path: Path) -> Content:
    """Read one file, as `read` does."""
    try:
        import pyarrow as pa  # noqa: PLC0415 (of an extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise InputError(f"{path}: {MISSING}") from error
    try:
        with parquet.ParquetFile(regular.file(path)) as file:
            return _content(file, path)
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        said = str(error).splitlines() or ["it is damaged"]
        raise InputError(f"{path}: cannot be read as Parquet: {said[0]}") from error


def _content(file: Any, path: Path) -> Content:
    """Return the content of an open file."""
    schema = file.schema_arrow
    image = next((name for name in schema.names if name.lower() in IMAGES), None)
    label = [name for name in schema.names if name.lower() in csv_table.LABELS]
    if len(label) > 1:
        raise InputError(f"{path}: has {len(label)} columns for the label")
    pixels = [
        name
        for name in schema.names
        if name not in label and name.lower() not in csv_table.NUMBERING
    ]
    blocks: list[np.ndarray] = []
    pictures: list[Picture] = []
    labels: list[Any] = []
    for batch in _batches(file, [image, *label] if image else [*pixels, *label], path):
        if image:
            values = batch.column(image)
            start = len(pictures)
            pictures += [
                Picture(f"{path}: row {start + i}", _bytes(value, path))
                for i, value in enumerate(values)
            ]
        else:
            blocks.append(_numbers(batch, pixels, path))
        for name in label:
            labels += batch.column(name).to_pylist()
    if not (blocks or pictures):
        raise InputError(f"{path}: has no images")
    read_labels = _labels(labels, path) if label else None
    names = _names(schema.metadata or {}, label)
    return Content(pictures if image else np.concatenate(blocks), read_labels, names)


def _batches(file: Any, columns: list[str], path: Path) -> Iterator[Any]:
    """Yield some rows at a time. Raises `ValueError` if they unpack to too much."""
    most = files.max_unpacked_bytes(path)
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    promised = sum(group.total_byte_size for group in groups)
    if promised > most or file.metadata.num_rows * len(columns) > most:
        raise ValueError("it would unpack to too many bytes")
    # a value that occurs in many rows may be stored once
    n_rows = max(1, min(MOST_ROWS, most // max(promised, 1)))
    for batch in file.iter_batches(n_rows, columns=columns):
        most -= batch.nbytes
        if most < 0:
            raise ValueError("it would unpack to too many bytes")
        yield batch


def _bytes(value: Any, path: Path) -> bytes:
    """Return an image's file, from a column of bytes or of Hugging Face's structures."""
    found = value.as_py()
    if isinstance(found, dict):
        found = found.get("bytes")
    if not isinstance(found, bytes):
        raise InputError(
            f"{path}: the column of images must have the bytes of image files, got "
            f"{value.type}"
        )
    return found


def _numbers(batch: Any, columns: list[str], path: Path) -> np.ndarray:
    """Return columns of numbers, (n_rows, n_columns): as bytes if they are."""
    read_columns = [batch.column(n).to_numpy(zero_copy_only=False) for n in columns]
    for name, array in zip(columns, read_columns, strict=True):
        if array.dtype.kind not in "buif":
            raise InputError(
                f"{path}: the column {name[:50]!r} has no numbers; expected are a column "
                "label and one for each pixel, or a column image"
            )
    block = np.column_stack(read_columns) if columns else np.empty((batch.num_rows, 0))
    as_bytes = block.astype(np.uint8) if block.dtype.kind in "ui" else block
    return as_bytes if (as_bytes == block).all() else block


def _labels(values: list[Any], path: Path) -> np.ndarray:
    """Return labels as numbers or texts."""
    if None in values:
        raise InputError(f"{path}: row {values.index(None)} has no label")
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, np.float64)
    texts = (value.decode() if isinstance(value, bytes) else str(value) for value in values)
    return np.array([text[:LONGEST_LABEL] for text in texts])


def _names(metadata: dict[bytes, bytes], label: list[str]) -> list[str] | None:
    """Return the names of the classes that Hugging Face's metadata has, or None."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        names = features[label[0]]["names"]
    except (LookupError, ValueError, TypeError, RecursionError):
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list else None
