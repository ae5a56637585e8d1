"""Names of classes, as matplotlib can draw them."""

from collections.abc import Sequence
from functools import cache

from digits.figures.canvas import FT2Font, get_data_path

MAX_LENGTH = 24  # letters


def plot_labels(names: Sequence[str]) -> list[str]:
    """Return what to write in a picture for each class.

    names: of all classes, in the order of their labels

    A long name loses its middle. One with letters that matplotlib's own font hasn't (other
    fonts depend on the machine) is written as "class 3", by its label. No name is taken
    for a formula.
    """
    return [_plot_label(name, label) for label, name in enumerate(names)]


def label_width(names: Sequence[str]) -> float:
    """Return how many inches more than a digit the longest of these names takes."""
    return 0.085 * (max(map(len, names)) - 1)


def _plot_label(name: str, label: int) -> str:
    if not {ord(letter) for letter in name} <= _font_characters():
        return f"class {label}"
    if len(name) > MAX_LENGTH:
        name = f"{name[: MAX_LENGTH - 9]}…{name[-8:]}"
    return name.replace("$", r"\$")


@cache
def _font_characters() -> frozenset[int]:
    return frozenset(FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap())
