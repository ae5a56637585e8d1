"""Images in a CSV file: one image per line, a column for the label and one per pixel.

    label,pixel0,pixel1,…       or without the first line, and with the label last
    5,0,0,…

The label is in the column with such a name. Without names of columns it is the first or
the last value of a line, if the other one cannot be a label. Columns that only number the
lines are left out.
"""

import csv
import gzip
import io
import logging
import math
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from digits.data import files, regular
from digits.data.arrays import WHITE, WHITE_16
from digits.data.dataset import MAX_CLASSES, MAX_SIDE
from digits.errors import InputError, printable

log = logging.getLogger(__name__)

LABELS = {"label", "labels", "class", "target", "y", "digit", "letter", "character"}
NUMBERING = {"", "id", "index", "unnamed: 0", "imageid"}
SEPARATORS = ",;\t"
LONGEST_LINE = (MAX_SIDE**2 + 10) * 32  # characters
BLOCK_LINES = 1000  # at most so many are parsed at a time,
BLOCK_CHARACTERS = 2**21  # or of so many characters
MANY_LABELS = 10 * MAX_CLASSES  # more are certainly no classes
FEW_COLUMNS = 9  # with fewer, 0, 1, 2, … may be values rather than names


class Layout(NamedTuple):
    """The columns of a file.

    Attributes:
        n_columns: How many there are.
        before: How many are before the values that are parsed as numbers.
        after: How many are after them.
        label: The column of the label, from 0; None if it is unknown or there is none.
        has_names: Whether the first line has the names of the columns.
    """

    n_columns: int
    before: int
    after: int
    label: int | None
    has_names: bool

    @property
    def n_numbers(self) -> int:
        """How many values of a line are parsed as numbers."""
        return self.n_columns - self.before - self.after


class Table(NamedTuple):
    """The content of a file.

    Attributes:
        images: (n_samples, n_pixels) uint8, uint16 or float32.
        labels: (n_samples,) numbers or texts; None if the file has no labels.
        column: The column of the label if the values showed it: 0 or -1, the last one.
    """

    images: np.ndarray
    labels: np.ndarray | None
    column: int | None = None


def read(path: Path, column: int | None = None) -> Table:
    """Read a CSV file, compressed or not.

    Args:
        path: The file. Values are separated by commas, semicolons or tabs.
        column: The column of the label if only its values show which one it is.

    Raises:
        InputError: If it cannot be read, a line has another number of values or a value
            that is not a number, or if it is not clear which column is the label.
    """
    try:
        with opened(path) as file:
            lines = _lines(file, path)
            number, first = next(lines, (0, ""))
            if not first:
                raise InputError(f"{path}: has no images")
            separator = max(SEPARATORS, key=first.count)
            layout = _layout(first, separator, path)
            if not layout.has_names:
                lines = chain([(number, first)], lines)
            return _parse(lines, layout, separator, path, column)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open a text file, whether or not it is compressed by gzip."""
    with regular.file(path).open("rb") as file:
        is_zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.open(file) if is_zipped else nullcontext(file) as content:
            yield io.TextIOWrapper(content, encoding="utf-8-sig")


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the values of each line that is not blank, with the line's number.

    Raises:
        InputError: If the file cannot be read.
    """
    separator = ""
    try:
        with opened(path) as file:
            for number, line in _lines(file, path):
                separator = separator or max(SEPARATORS, key=line.count)
                yield number, next(csv.reader([line], delimiter=separator), [])
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error


def _line(file: TextIO, path: Path, number: int) -> str:
    """Return the next line, empty at the end. Raises `InputError` if it is too long."""
    line = file.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise InputError(
            f"{path}: line {number} is longer than {LONGEST_LINE:,} characters; images "
            f"may be at most {MAX_SIDE} by {MAX_SIDE}"
        )
    return line


def _lines(file: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers.

    Raises:
        ValueError: If the file unpacks to too much.
    """
    left = files.max_unpacked_bytes(path)
    number = 1
    while line := _line(file, path, number):
        left -= len(line)
        if left < 0:
            raise ValueError("it would unpack to too many characters")
        if line.strip():
            yield number, line
        number += 1


def _layout(first: str, separator: str, path: Path) -> Layout:
    """Return which columns a file has, by its first line.

    Raises:
        InputError: If the number of pixels is no square number.
    """
    fields = next(csv.reader([first], delimiter=separator), [])
    names = [field.strip().lower() for field in fields]
    has_names = _are_names(names)
    numbering, labels = [], []
    if has_names:
        numbering = [i for i, name in enumerate(names) if name in NUMBERING]
        labels = [i for i, name in enumerate(names) if name in LABELS]
        if len(labels) > 1:
            raise InputError(f"{path}: has {len(labels)} columns for the label")
        if numbering:
            log.info("%s: the column that numbers the lines is left out", path)
    else:
        labels = [i for i in (0, len(names) - 1) if not _is_number(names[i])][:1]
    others = {*numbering, *labels}
    before = next((i for i in range(len(names)) if i not in others), 0)
    after = next((i for i in range(len(names)) if len(names) - 1 - i not in others), 0)
    label = labels[0] if labels else None
    layout = Layout(len(names), before, after, label, has_names)
    # without a known label, it is one of the numbers, or there is none
    possible = (layout.n_numbers - n for n in ((0,) if labels else (0, 1)))
    if before + after != len(others) or not any(map(_is_square, possible)):
        raise InputError(
            f"{path}: has {len(names)} columns; expected are a label and the pixels of "
            "square images, such as 785 = 1 + 28 · 28"
        )
    return layout


def _are_names(fields: list[str]) -> bool:
    """Return whether a line has names of columns: mostly texts, or 0, 1, 2 and so on."""
    numbers = [field for field in fields if _is_number(field)]
    if len(numbers) < len(fields) / 2:
        return True
    counted = [[str(i + start) for i in range(len(numbers))] for start in (0, 1)]
    return len(numbers) >= FEW_COLUMNS and numbers in counted


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


def _parse(
    lines: Iterator[tuple[int, str]],
    layout: Layout,
    separator: str,
    path: Path,
    column: int | None,
) -> Table:
    """Return the images and the labels in numbered lines of a file."""
    blocks: list[np.ndarray] = []
    codes: dict[str, int] = {}
    labels: list[np.ndarray] = []
    while block := _next_block(lines):
        rows = [_Row(number, line, layout, separator, path) for number, line in block]
        if layout.label is not None:
            found = [codes.setdefault(row.label, len(codes)) for row in rows]
            labels.append(np.array(found, np.uint16))
            if len(codes) > MANY_LABELS:
                raise InputError(f"{path}: has more than {MANY_LABELS} different labels")
        blocks.append(_numbers(rows, layout, separator))
    if not blocks:
        raise InputError(f"{path}: has no images")
    numbers = np.concatenate(blocks)
    if layout.label is not None:
        return Table(numbers, as_numbers(list(codes))[np.concatenate(labels)])
    if _is_square(layout.n_numbers):
        return Table(numbers, None)
    if column is None:
        column = _label_column(numbers, path)
    images = numbers[:, 1:] if column == 0 else numbers[:, :-1]
    return Table(images, numbers[:, column], column)


def _next_block(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the next lines, a limited number."""
    block, left = [], BLOCK_CHARACTERS
    for number, line in lines:
        block.append((number, line))
        left -= len(line)
        if left <= 0 or len(block) == BLOCK_LINES:
            break
    return block


class _Row:
    """A line, divided into the label and the values that are parsed as numbers.

    Attributes:
        numbers: The values, with separators.
        label: The label; empty if its column is unknown.
        where: What to call the line in errors.
    """

    __slots__ = ("label", "numbers", "where")

    def __init__(
        self, number: int, line: str, layout: Layout, separator: str, path: Path
    ) -> None:
        self.where = f"{path}: line {number}"
        plain = line.rstrip("\r\n").replace('"', "")
        *before, rest = plain.split(separator, layout.before)
        self.numbers, *after = rest.rsplit(separator, layout.after)
        if len(before) + len(after) != layout.before + layout.after:
            raise self.wrong_length(plain.count(separator) + 1, layout)
        self.label = ""
        if layout.label is not None:
            is_first = layout.label < layout.before
            fields, at = (
                (before, 0) if is_first else (after, layout.n_columns - layout.after)
            )
            self.label = fields[layout.label - at].strip()

    def wrong_length(self, n_values: int, layout: Layout) -> InputError:
        """Return the error for a line that has another number of values."""
        return InputError(
            f"{self.where} has {n_values} values, expected {layout.n_columns}"
        )


def _numbers(rows: list[_Row], layout: Layout, separator: str) -> np.ndarray:
    """Parse rows, (n_samples, n_numbers): as bytes if they are, which is much faster.

    Raises:
        InputError: If a row has another number of values, or one is not a number.
    """
    texts = [row.numbers for row in rows]
    for dtype in (np.uint8, np.float32):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # NumPy 2.3 parses 1.0 as a byte, and warns
                parsed = np.loadtxt(texts, dtype, None, delimiter=separator, ndmin=2)
        except (ValueError, DeprecationWarning):
            continue
        if parsed.shape == (len(rows), layout.n_numbers):
            is_16_bits = dtype is np.float32 and WHITE < parsed.max() <= WHITE_16
            if is_16_bits and parsed.min() >= 0 and (np.rint(parsed) == parsed).all():
                return parsed.astype(np.uint16)
            return parsed
    for row in rows:
        values = row.numbers.split(separator)
        wrong = next((value for value in values if not _is_number(value)), None)
        if wrong is not None:
            raise InputError(f"{row.where}: {printable(wrong[:20])!r} is not a number")
        if len(values) != layout.n_numbers:
            raise row.wrong_length(len(values) + layout.before + layout.after, layout)
    raise InputError(f"{rows[0].where}, or one of the next {len(rows)}: cannot be parsed")


def as_numbers(labels: list[str]) -> np.ndarray:
    """Return labels as numbers, or as texts if one is not a number."""
    if all(map(_is_number, labels)):
        return np.array(labels, dtype=np.float64)
    return np.array(labels)


def _label_column(numbers: np.ndarray, path: Path) -> int:
    """Return which column is the label: 0 for the first one, -1 for the last one.

    Args:
        numbers: (n_samples, n_columns).
        path: The file, for the log and the error.

    Raises:
        InputError: If both could be labels, or none.
    """
    possible = []
    for column in (0, -1):
        values = numbers[:, column]
        is_label = (np.rint(values) == values) & (values >= 0) & (values < MAX_CLASSES)
        if is_label.all() and (values != values[0]).any():
            possible.append(column)
    if len(possible) != 1:
        which = (
            "both the first and the last" if possible else "neither the first nor the last"
        )
        raise InputError(
            f"{path}: {which} column could be the label; add a first line with the names "
            "of the columns, such as label,pixel0,pixel1"
        )
    log.info("%s: the label is the %s value", path, "last" if possible[0] else "first")
    return possible[0]
