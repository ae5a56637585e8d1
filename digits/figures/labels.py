"""Names of classes as labels that can be drawn."""

import unicodedata
from collections.abc import Sequence
from functools import cache

from digits.figures.canvas import font

MAX_LENGTH = 24  # characters


def plot_labels(names: Sequence[str]) -> list[str]:
    """Return the label of each class in a figure.

    A long name loses its middle. A name with characters that the font lacks, or that are
    written from right to left, becomes "class 3", after its number.

    Args:
        names: The names of all classes, in the order of their numbers.
    """
    return [_plot_label(name, number) for number, name in enumerate(names)]


def label_width(labels: Sequence[str]) -> float:
    """Return by how many pixels the longest label is wider than one character."""
    return 8.5 * (max(map(len, labels)) - 1)


def _plot_label(name: str, number: int) -> str:
    if not all(map(_can_be_drawn, name)):
        return f"class {number}"
    if len(name) > MAX_LENGTH:
        return f"{name[: MAX_LENGTH - 9]}…{name[-8:]}"
    return name


@cache
def _can_be_drawn(character: str) -> bool:
    """Return whether the font has the character; it draws one sign for all others."""
    if unicodedata.bidirectional(character) in ("R", "AL"):
        return False
    shape, missing = (bytes(font(10).getmask(c)) for c in (character, "\U0010ffff"))
    return shape != missing
