"""Images in folders, one folder for each class, as labelled images.

    mine/train/cat/1.png   mine/train/dog/1.png
    mine/test/cat/7.png    mine/test/dog/7.png

Without test images, `train/` may be left out: mine/cat/1.png.

The names of the folders are the names of the classes. Sorted, they have the labels 0, 1,
2, … If all are numbers from 0 to 99, the numbers are the labels.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.data import dataset, roles
from digits.data.dataset import MAX_CLASSES, MAX_SIDE, Dataset, Split, class_name
from digits.data.holdout import Holdout
from digits.data.ignore import NOTHING, Ignored
from digits.errors import InputError
from digits.images import image_input

log = logging.getLogger(__name__)

NUMERIC_NAMES = tuple(map(str, range(MAX_CLASSES)))


class _ImageFile(NamedTuple):
    """A labelled image file.

    Sorted, the files take one image of each class in turn, so that a part of them has
    images of all classes.

    Attributes:
        position: The file's position in its folder.
        label: The number of its class.
        path: The file.
    """

    position: int
    label: int
    path: Path


def read(root: Path, ignored: Ignored = NOTHING, holdout: Holdout | None = None) -> Dataset:
    """Read images as grey values from 0 to 255.

    Args:
        root: A folder with the folders `train/` and `test/`; with `holdout`, only `train/`,
            or without it the folders of the classes.
        ignored: What to leave out, in addition to hidden files and those of `dvc add`.
        holdout: How to draw test images; None if there is a folder of them.

    Raises:
        InputError: If a file is not an image, is damaged, larger than 64 by 64 or of
            another size than the first one; if a class has no training image or no class
            has a test image; if there are fewer than 2 classes or more than 100; if a
            test class is not a training class; if .dvcignore lists a class's name.
    """
    splits = _split_folders(root, holdout)
    folders = _class_folders(splits["train"], ignored)
    names = dataset.check_names([folder.name for folder in folders], splits["train"])
    labels = {name: label for label, name in enumerate(names)}
    if all(name in NUMERIC_NAMES for name in names):
        labels = {name: int(name) for name in names}
        names = NUMERIC_NAMES[: max(labels.values()) + 1]
    train = _labelled_files(folders, labels, ignored)
    _refuse_empty(folders, train)
    first = min(train).path
    size = image_input.image_size(first)
    if max(size) > MAX_SIDE:
        raise InputError(
            f"{first}: is {_words(size)} pixels; make all images at most "
            f"{MAX_SIDE} by {MAX_SIDE}"
        )
    if holdout:
        kept, drawn = holdout.divide(_load(train, size, first), root)
        return Dataset(kept, drawn, names)
    test = _labelled_files(_test_folders(splits, labels, ignored), labels, ignored)
    if not test:
        raise InputError(f"{splits['test']}: there is no image in this folder")
    return Dataset(_load(train, size, first), _load(test, size, first), names)


def _split_folders(root: Path, holdout: Holdout | None) -> dict[str, Path]:
    """Return the folder of the training images, and without `holdout` of the test images.

    Raises:
        InputError: If there is none for the test images, or one in spite of `holdout`.
    """
    splits = roles.split_folders(root)
    if "train" not in splits:  # the folders may be the classes
        splits = {"train": root}
    if holdout and "test" in splits:
        raise InputError(
            f"{splits['test']}: has test images, so remove dataset.test_share from "
            "params.yaml"
        )
    if not holdout and "test" not in splits:
        raise InputError(
            f"{root}: has no folders train and test, each with a folder of images for each "
            "class; to draw test images from the others, set dataset.test_share in "
            "params.yaml, such as to 0.2"
        )
    if "val" in splits:
        log.warning(
            "warning: %s: these images are not used; move them to %s if you want to train "
            "on them",
            splits["val"],
            splits["train"],
        )
    return splits


def _labelled_files(
    folders: list[Path], labels: dict[str, int], ignored: Ignored
) -> list[_ImageFile]:
    """Return the image files in classes' folders.

    Args:
        folders: The folders.
        labels: The label of each class, by its name.
        ignored: What to leave out.
    """
    return [
        _ImageFile(position, labels[class_name(folder.name)], path)
        for folder in folders
        for position, path in enumerate(_files(folder, ignored))
    ]


def _test_folders(
    splits: dict[str, Path], labels: dict[str, int], ignored: Ignored
) -> list[Path]:
    """Return the test classes' folders. Raises `InputError` if one is of no class."""
    folders = _class_folders(splits["test"], ignored)
    for folder in folders:
        if class_name(folder.name) not in labels:
            raise InputError(f"{folder}: no class of {splits['train']} has this name")
    return folders


def _refuse_empty(folders: list[Path], found: list[_ImageFile]) -> None:
    """Raise `InputError` if a folder has none of the files."""
    filled = {file.path.parent for file in found}
    for folder in folders:
        if folder not in filled:
            raise InputError(f"{folder}: there is no image in this folder")


def _load(found: list[_ImageFile], size: tuple[int, int], first: Path) -> Split:
    """Read image files, all of which must have one size.

    Args:
        found: The files.
        size: The height and width that they must have, in pixels.
        first: The file whose size that is.
    """
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    images = np.empty((len(found), *size), np.uint8)
    labels = np.empty(len(found), np.uint8)
    bar = tqdm(sorted(found), unit=" images", leave=False, disable=None)
    for i, (_, label, path) in enumerate(bar):
        other = image_input.image_size(path)  # before a large image takes memory
        if other != size:
            raise InputError(
                f"{path}: is {_words(other)} pixels, but {first} is {_words(size)}; "
                "make all images the same size"
            )
        images[i], labels[i] = image_input.to_grey(image_input.read_rgb(path)), label
    return Split(images, labels)


def _class_folders(folder: Path, ignored: Ignored) -> list[Path]:
    """Return the classes' folders. Raises `InputError` if there is anything else."""
    found = _visible(folder, ignored)
    for path in found:
        if not path.is_dir():
            raise InputError(f"{path}: is not in the folder of a class")
        if ignored(path, folder=True):
            raise InputError(
                f"{path}: DVC would not notice changes of this folder, because .dvcignore "
                "lists its name; give the class another name"
            )
    return found


def _files(folder: Path, ignored: Ignored) -> list[Path]:
    """Return a class's files. Raises `InputError` if there is a folder in the folder."""
    found = _visible(folder, ignored)
    for path in found:
        if path.is_dir():
            raise InputError(
                f"{path}: is a folder in the folder of a class, which may hold only images"
            )
    return found


def _visible(folder: Path, ignored: Ignored) -> list[Path]:
    """Return all files and folders except those that are hidden, ignored, or DVC's own."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".")
            if path.is_dir() or not (ignored(path) or path.suffix == ".dvc")
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from error


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} by {size[1]}"
