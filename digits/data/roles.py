"""Which part of a data set a name means: `t10k-images.idx3-ubyte` is `x_test`."""

import re
from collections.abc import Iterable
from pathlib import Path

from digits.errors import InputError

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "t10k"),
    "val": ("val", "valid", "validation"),
}
KINDS = {
    "x": ("x", "images", "image", "imgs", "img", "data"),
    "y": ("y", "labels", "label", "targets", "target"),
}
WORDS = {word for words in (*SPLITS.values(), *KINDS.values()) for word in words}

# Between two words of a name: other characters, or a capital letter as in trainImages.
BOUNDARY = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


def split_of(name: str) -> str | None:
    """Return `train`, `test` or `val`; None if a name has no such word, or several."""
    return _meaning(_words(name), SPLITS)


def role(name: str, *, of_file: bool = False) -> str | None:
    """Return the part of a data set that a name means, or None.

    Args:
        name: The name of an array or a file.
        of_file: Whether it may have other words as well: names of files have.

    Returns:
        `x_train`, `y_train`, `x_test`, `y_test`, `x_val` or `y_val`: images or labels of a
        split; without a word for the split, `x` or `y`.
    """
    words = _words(name)
    kind, split = _meaning(words, KINDS), _meaning(words, SPLITS)
    if kind is None or not (of_file or WORDS.issuperset(words)):
        return None
    return f"{kind}_{split}" if split else kind


def _words(name: str) -> list[str]:
    return [word.lower() for word in BOUNDARY.split(name) if word]


def _meaning(words: Iterable[str], meanings: dict[str, tuple[str, ...]]) -> str | None:
    found = {name for name, known in meanings.items() for word in words if word in known}
    return found.pop() if len(found) == 1 else None


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders in a folder that are splits, such as `train` or `Testing`.

    Raises:
        InputError: If two of them are the same split.
    """
    found: dict[str, Path] = {}
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        for split, words in SPLITS.items():
            if folder.name.lower() in words:
                if split in found:
                    raise InputError(f"{folder}: there is also {found[split].name}")
                found[split] = folder
    return found
