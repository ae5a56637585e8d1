"""Images in folders, one folder for each class, as labelled images.

    mine/train/cat/1.png   mine/train/dog/1.png
    mine/test/cat/7.png    mine/test/dog/7.png

Without test images, `train/` may be left out: mine/cat/1.png.

The names of the folders are the names of the classes. Sorted, they have the labels 0, 1,
2, … If all are numbers from 0 to 99, the numbers are the labels.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.data import dataset, roles
from digits.data.dataset import MAX_CLASSES, MAX_SIDE, Dataset, Split, class_name
from digits.data.ignore import NOTHING, Ignored, is_of_system
from digits.data.options import KEEP, Options
from digits.errors import InputError
from digits.images import image_input
from digits.images.in_memory import Picture

log = logging.getLogger(__name__)

NUMERIC_NAMES = tuple(map(str, range(MAX_CLASSES)))


class ImageFile(NamedTuple):
    """A labelled image file.

    Sorted, the files take one image of each class in turn, so that a part of them has
    images of all classes.

    Attributes:
        position: The file's position in its folder.
        label: The number of its class.
        path: The file, or its content.
    """

    position: int
    label: int
    path: Path | Picture


def read(root: Path, ignored: Ignored = NOTHING, options: Options = KEEP) -> Dataset:
    """Read images as grey values from 0 to 255.

    Args:
        root: A folder with the folders `train/` and `test/`; with `test_share`, only
            `train/`, or without it the folders of the classes.
        ignored: What to leave out, in addition to hidden files and those of `dvc add`.
        options: How to change the images; without a folder of test images, how to draw
            them.

    Raises:
        InputError: If a file is not an image or is damaged; if, without `size`, it is
            larger than 64 by 64 or of another size than the first one; if a class has no
            training image or no class has a test image; if there are fewer than 2 classes
            or more than 100; if a test class is not a training class; if .dvcignore lists
            a class's name.
    """
    splits = _split_folders(root, is_whole=options.holdout is not None)
    folders = _class_folders(splits["train"], ignored)
    names = dataset.check_names([folder.name for folder in folders], splits["train"])
    labels = {name: label for label, name in enumerate(names)}
    if all(name in NUMERIC_NAMES for name in names):
        labels = {name: int(name) for name in names}
        names = NUMERIC_NAMES[: max(labels.values()) + 1]
    train = _labelled_files(folders, labels, ignored)
    _refuse_empty(folders, train)
    if options.holdout:
        whole = load(root, options, train=train)["train"]
        return Dataset(*options.holdout.divide(whole, root), names)
    test = _labelled_files(_test_folders(splits, labels, ignored), labels, ignored)
    if not test:
        raise InputError(f"{splits['test']}: there is no image in this folder")
    return Dataset(**load(root, options, train=train, test=test), names=names)


def _split_folders(root: Path, *, is_whole: bool) -> dict[str, Path]:
    """Return the folder of the training images, and that of the test images.

    Raises:
        InputError: If there is none for the test images, or one in spite of `is_whole`.
    """
    splits = roles.split_folders(root)
    if "train" not in splits:  # the folders may be the classes
        splits = {"train": root}
    if is_whole and "test" in splits:
        raise InputError(
            f"{splits['test']}: has test images, so remove dataset.test_share from "
            "params.yaml"
        )
    if not is_whole and "test" not in splits:
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
) -> list[ImageFile]:
    """Return the image files in classes' folders.

    Args:
        folders: The folders.
        labels: The label of each class, by its name.
        ignored: What to leave out.
    """
    return [
        ImageFile(position, labels[class_name(folder.name)], path)
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


def _refuse_empty(folders: list[Path], found: list[ImageFile]) -> None:
    """Raise `InputError` if a folder has none of the files."""
    filled = {file.path.parent for file in found if isinstance(file.path, Path)}
    for folder in folders:
        if folder not in filled:
            raise InputError(f"{folder}: there is no image in this folder")


def load(root: Path, options: Options, **splits: list[ImageFile]) -> dict[str, Split]:
    """Read image files, all of which must have one size, unless they are brought to one.

    Args:
        root: The folder, for the log.
        options: How to change the images.
        splits: The files of each split; the first one of `train` has the size.

    Raises:
        InputError: As `read` does. It has the name of the first file that cannot be read,
            and says how many others there are.
    """
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    first = min(splits["train"]).path
    size = None if options.size else _size_of_all(first)
    upright = size[::-1] if size and options.transpose else size
    loaded = {
        name: Split(
            np.empty((len(found), *(options.size or upright or ())), np.uint8),
            np.empty(len(found), np.uint8),
        )
        for name, found in splits.items()
    }
    files = [
        (loaded[name], i, file)
        for name, found in splits.items()
        for i, file in enumerate(sorted(found))
    ]
    mistakes: list[str] = []
    n_resized = 0
    bar = tqdm(files, unit=" images", leave=False, disable=None)
    for split, i, (_, label, path) in bar:
        split.labels[i] = label
        try:
            found = image_input.image_size(path)  # before a large image takes memory
            if size in (None, found):
                split.images[i] = _prepared(path, split.images.shape[1:], options)
                n_resized += found[:: -1 if options.transpose else 1] != options.size
        except InputError as error:
            mistakes.append(str(error))
            continue
        if size not in (None, found):
            raise InputError(
                f"{path}: is {_words(found)} pixels, but {first} is {_words(size)}; make "
                "all images the same size, or set dataset.size in params.yaml, such as to "
                "[28, 28]"
            )
    if mistakes:
        others = len(mistakes) - 1
        raise InputError(
            mistakes[0]
            + f"; {others} other {'image' if others == 1 else 'images'} cannot be read"
            * bool(others)
        )
    if options.size:
        log.info(
            "%s: %d of %d images are brought to %s pixels",
            root, n_resized, len(files), _words(options.size),
        )  # fmt: skip
    return loaded


def load_all(
    root: Path, options: Options, splits: Mapping[str, Sequence[Path | Picture]]
) -> dict[str, Split]:
    """Read image files without labels, in their order, as `load` does."""
    listed = {
        split: [ImageFile(i, 0, file) for i, file in enumerate(found)]
        for split, found in splits.items()
    }
    return load(root, options, **listed)


def _size_of_all(first: Path | Picture) -> tuple[int, int]:
    """Return the size of the first image. Raises `InputError` if it is too large."""
    size = image_input.image_size(first)
    if max(size) > MAX_SIDE:
        raise InputError(
            f"{first}: is {_words(size)} pixels; make all images at most {MAX_SIDE} by "
            f"{MAX_SIDE}, or set dataset.size in params.yaml, such as to [28, 28]"
        )
    return size


def _prepared(path: Path | Picture, shape: tuple[int, ...], options: Options) -> np.ndarray:
    """Return an image file's grey values, `shape` uint8, changed by the options.

    Raises:
        InputError: If it cannot be read, or there is no ink to centre.
    """
    colours = image_input.read_rgb(path)
    if options.transpose:
        colours = colours.swapaxes(0, 1)
    height, width = shape
    found = image_input.framed(
        colours, (height, width), mnist_like=options.centre, invert=options.invert
    )
    if found is None and options.centre:
        raise InputError(f"{path}: is empty, or its ink is too faint to centre it")
    return np.zeros(shape, np.uint8) if found is None else found


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
            if not (path.name.startswith(".") or is_of_system(path))
            if path.is_dir() or not (ignored(path) or path.suffix == ".dvc")
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from error


def _words(size: tuple[int, int]) -> str:
    return f"{size[0]} by {size[1]}"
