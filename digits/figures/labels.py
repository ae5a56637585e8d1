"""Names of classes as labels that matplotlib can draw."""

from collections.abc import Sequence
from functools import cache

from digits.figures.canvas import FT2Font, get_data_path

MAX_LENGTH = 24  # characters


def plot_labels(names: Sequence[str]) -> list[str]:
    """Return the label of each class in a figure.

    A long name loses its middle. A name with characters that matplotlib's own font lacks
    (which other fonts there are depends on the machine) becomes "class 3", after its
    number. No name is read as a formula.

    Args:
        names: The names of all classes, in the order of their numbers.
    """
    return [_plot_label(name, number) for number, name in enumerate(names)]


def label_width(labels: Sequence[str]) -> float:
    """Return by how many inches the longest label is wider than one character."""
    return 0.085 * (max(map(len, labels)) - 1)


def _plot_label(name: str, number: int) -> str:
    if not {ord(character) for character in name} <= _font_characters():
        return f"class {number}"
    if len(name) > MAX_LENGTH:
        name = f"{name[: MAX_LENGTH - 9]}…{name[-8:]}"
    return name.replace("$", r"\$")


@cache
def _font_characters() -> frozenset[int]:
    return frozenset(FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap())
