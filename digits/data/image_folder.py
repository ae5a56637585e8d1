"""Pictures in folders, a folder for each class, as labelled images.

    mine/train/cat/1.png   mine/train/dog/1.png
    mine/test/cat/7.png    mine/test/dog/7.png

The folders' names are the classes' names, and in this order they have the labels 0, 1,
2, … If all are numbers from 0 to 99, they are the labels themselves.
"""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from digits.data import dataset
from digits.data.dataset import MAX_CLASSES, MAX_SIDE, Dataset, Split, class_name
from digits.data.ignore import NOTHING, Ignored
from digits.errors import InputError
from digits.images import image_input

NUMBERS = tuple(map(str, range(MAX_CLASSES)))


def read(root: Path, ignored: Ignored = NOTHING) -> Dataset:
    """Read `train/` and `test/` in `root`, as grey values from 0 to 255.

    What is hidden or `ignored` is left out, and so are the files of `dvc add`.

    Raises `InputError` if a file is no picture, damaged, larger than 64 by 64 or of
    another size than the first one; if a class has no training picture, or a test class
    none at all; if there are fewer than 2 classes or more than 100; if a class's name is
    one that is ignored.
    """
    folders = _inside(root / "train", ignored)
    names = dataset.check_names([folder.name for folder in folders], root / "train")
    labels = {name: label for label, name in enumerate(names)}
    if all(name in NUMBERS for name in names):
        labels = {name: int(name) for name in names}
        names = NUMBERS[: max(labels.values()) + 1]
    train = [
        (place, labels[class_name(folder.name)], path)
        for folder in folders
        for place, path in enumerate(_pictures(folder, ignored))
    ]
    test = []
    for folder in _inside(root / "test", ignored):
        name = class_name(folder.name)
        if name not in labels:
            raise InputError(f"{folder}: no class of {root / 'train'} has this name")
        pictures_of = enumerate(_pictures(folder, ignored))
        test += [(place, labels[name], path) for place, path in pictures_of]
    if not test:
        raise InputError(f"{root / 'test'}: no picture is in this folder")
    filled = {path.parent for *_, path in train}
    for folder in folders:
        if folder not in filled:
            raise InputError(f"{folder}: no picture is in this folder")
    first = min(train)[2]
    size = image_input.image_size(first)
    if max(size) > MAX_SIDE:
        raise InputError(
            f"{first}: is {_words(size)} pixels; make all pictures at most "
            f"{MAX_SIDE} by {MAX_SIDE}"
        )
    return Dataset(_split(train, size, first), _split(test, size, first), names)


def _split(files: list[tuple[int, int, Path]], size: tuple[int, int], first: Path) -> Split:
    images = np.empty((len(files), *size), np.uint8)
    labels = np.empty(len(files), np.uint8)
    # One of each class in turn, so that a part of the images has all classes in it.
    bar = tqdm(sorted(files), unit=" pictures", leave=False, disable=None)
    for i, (_, label, path) in enumerate(bar):
        other = image_input.image_size(path)  # before it takes the memory that it would
        if other != size:
            raise InputError(
                f"{path}: is {_words(other)} pixels, but {first} is {_words(size)}; "
                "make all pictures of one size"
            )
        images[i], labels[i] = image_input.to_grey(image_input.read_rgb(path)), label
    return Split(images, labels)


def _inside(folder: Path, ignored: Ignored) -> list[Path]:
    """Return the classes' folders. Raises `InputError` if there is anything else."""
    found = _visible(folder, ignored)
    for path in found:
        if not path.is_dir():
            raise InputError(f"{path}: lies in no class's folder")
        if ignored(path, folder=True):
            raise InputError(
                f"{path}: DVC would not see this folder change, because .dvcignore lists "
                "its name; give the class another name"
            )
    return found


def _pictures(folder: Path, ignored: Ignored) -> list[Path]:
    """Return a class's files. Raises `InputError` if there is a folder in the folder."""
    found = _visible(folder, ignored)
    for path in found:
        if path.is_dir():
            raise InputError(
                f"{path}: is a folder in a class's folder; only pictures may be"
            )
    return found


def _visible(folder: Path, ignored: Ignored) -> list[Path]:
    """Return all files and folders but those that are hidden, ignored, or DVC's own."""
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
