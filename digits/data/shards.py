"""Arrays in shards: npy files with numbers, such as `images-00000.npy`."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from digits.data import files, large, roles
from digits.data.ignore import Ignored, is_of_system
from digits.errors import InputError

NAME = re.compile(r"(.+)[-_](\d{5,})")  # the role of the array, and the number of the shard
WHOLE = -1  # instead of the number, of a file that is not numbered: a whole array

Shards = dict[int, Path]  # the files of an array, by their numbers


def find(folder: Path, ignored: Ignored) -> dict[str, list[Path]]:
    """Return the shards of each array in a folder, in order, by the arrays' roles.

    They are in the folder itself, or in the folders of its splits.

    Args:
        folder: The folder.
        ignored: Which files to leave out.

    Returns:
        At least one path for each role; nothing if no file is numbered.

    Raises:
        InputError: If a shard is there twice, or is missing.
    """
    found: dict[str, Shards] = {}
    parts = list(_parts(folder, ignored))
    if all(number == WHOLE for _, number, _ in parts):
        return {}
    for role, number, path in parts:
        shards = found.setdefault(role, {})
        twice = shards if WHOLE in {number, *shards} else {number} & shards.keys()
        if twice:
            raise is_twice(path, shards[min(twice)])
        shards[number] = path
    for role, shards in found.items():
        other, kind = ("y", "labels") if role[0] == "x" else ("x", "images")
        _refuse_single(shards, found.get(other + role[1:], {WHOLE: folder}), kind)
    for shards in found.values():
        _refuse_gap(shards)
    return {role: [of[number] for number in sorted(of)] for role, of in found.items()}


def _parts(folder: Path, ignored: Ignored) -> Iterator[tuple[str, int, Path]]:
    """Yield the role, the number and the path of each npy file that has a role.

    Raises:
        InputError: If the name of a file is of another split than its folder.
    """
    for split, place in {"": folder, **roles.split_folders(folder)}.items():
        for path in sorted(place.glob("*.npy")):
            match = NAME.fullmatch(path.stem)
            name, number = (match[1], int(match[2])) if match else (path.stem, WHOLE)
            role = roles.role(f"{split}-{name}", of_file=True)
            if role is None or ignored(path) or is_of_system(path):
                continue
            if match and not role.endswith(split):
                raise InputError(f"{path}: its name is of another split than its folder")
            yield role, number, path


def is_twice(path: Path, other: Path) -> InputError:
    """Return the error that two files have the same part of the data."""
    return InputError(f"{path}: {other} is the same part of the data; remove one of them")


def _refuse_single(shards: Shards, others: Shards, kind: str) -> None:
    """Raise `InputError` if a shard has no counterpart of a kind, and both are numbered."""
    single = sorted(shards.keys() - others.keys())
    if single and WHOLE not in shards.keys() | others.keys():
        raise InputError(
            f"{shards[single[0]]}: there is no shard {single[0]:05} with the {kind}"
        )


def _refuse_gap(shards: Shards) -> None:
    """Raise `InputError` if a number is missing."""
    for expected, number in enumerate(sorted(shards)):
        if number not in {WHOLE, expected}:
            raise InputError(
                f"{shards[number]}: there is no shard {expected:05} before it; the numbers "
                "begin at 0, without a gap"
            )


def read(parts: dict[str, list[Path]]) -> dict[str, np.ndarray]:
    """Read the shards of each array. Large images are mapped.

    Args:
        parts: The files of each array, in order, by its role.

    Raises:
        InputError: If a file is damaged, is not like the first one, or has another length
            than its labels.
    """
    lengths = {role: _lengths(paths) for role, paths in parts.items()}
    for role, labels in parts.items():
        images = parts.get(f"x{role[1:]}", [])
        if role[0] == "x" or len(labels) == 1 or len(images) != len(labels):
            continue  # of whole arrays other shapes are read as well
        pairs = zip(labels, lengths[role], images, lengths[f"x{role[1:]}"], strict=True)
        for path, n_labels, other, n_images in pairs:
            if n_labels != n_images:
                raise InputError(
                    f"{path}: has {n_labels} labels, but {other} has {n_images} images"
                )
    found = {}
    for role, paths in parts.items():
        if role[0] == "y":
            found[role] = np.concatenate([np.array(_mapped(path)) for path in paths])
            continue
        first = _mapped(paths[0])
        shape = (sum(lengths[role]), *first.shape[1:])
        found[role] = large.joined(map(_mapped, paths), shape, first.dtype)
    return found


def _lengths(paths: list[Path]) -> list[int]:
    """Return the numbers of rows in shards.

    Raises:
        InputError: If a file is damaged, or not like the first one.
    """
    lengths, wanted = [], _described(_mapped(paths[0]))
    for path in paths:
        array = _mapped(path)
        if (row := _described(array)) != wanted:
            raise InputError(
                f"{path}: each row is {row}, but in {paths[0]} it is {wanted}; save all "
                "shards in the same size and type"
            )
        lengths.append(len(array))
    return lengths


def _described(array: np.ndarray) -> str:
    """Return the shape and the type of a row; texts may have any length."""
    dtype = "text" if array.dtype.kind in "US" else array.dtype
    shape = " by ".join(map(str, array.shape[1:]))
    return f"{shape} {dtype}".strip()


def _mapped(path: Path) -> np.ndarray:
    """Return the array in a file, which is read when it is used.

    Raises:
        InputError: If the file is damaged, or has no rows.
    """
    try:
        array = files.read_npy(path, mapped_from=0)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as npy: {error}") from error
    if array.size == 0 or array.ndim == 0:
        raise InputError(f"{path}: has no rows: its shape is {array.shape}")
    return array
