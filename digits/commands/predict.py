"""Classify images with the trained models.

With MNIST, an image may have any size and colours, dark on light or light on dark, with the
digit anywhere in it: it is converted to MNIST's format. With other data an image must look
like the training images: it is only converted to grey and scaled to their size.
"""

import argparse
import json
import logging
import os
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digits.config import cli, params
from digits.config.params import Params
from digits.data import dataset
from digits.errors import InputError, printable
from digits.images import image_input
from digits.models import serialization
from digits.models.base import Model
from digits.models.decision import Probabilistic

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  digits predict seven.png                        the prediction of each variant
  digits predict scans/                           all images in a folder
  digits predict --variant multinomial seven.png  one variant, with its scores
  digits predict --json seven.png                 all scores, as JSON
  digits predict --in published seven.png         the models of the published table

In a folder, files are images if their names say so; a warning names each other file.

exit status: 0 if every image was classified; 1 if an image could not be read (the others
are classified); 2 if no model can be used, for example because none is trained yet
"""
STATUS = 2  # of a user's mistake

BATCH_SIZE = 256  # images in memory at a time
COLUMN_GAP = "  "
SCORE_WIDTH = 7  # width of a score, in columns
SUFFIXES = sorted(image_input.SUFFIXES)


class Variant:
    """A trained variant: its model and the thresholds of its decision."""

    def __init__(
        self,
        name: str,
        model: Model,
        thresholds: tuple[float, ...],
        names: tuple[str, ...],
    ) -> None:
        self.name = name
        self.model = model
        self.thresholds = thresholds
        self.labels: list[int] = model.classes.tolist()
        self.classes = [names[label] for label in self.labels]
        self.has_digits = set(names) <= set(dataset.DIGITS)
        self.values = [*map(int, self.classes)] if self.has_digits else self.classes

    @property
    def class_summary(self) -> str:
        """The classes that it distinguishes, for a heading."""
        first, last = self.labels[0], self.labels[-1]
        if len(self.classes) == len("01"):
            return " or ".join(self.classes)
        if not self.has_digits:
            return f"{len(self.classes)} classes"
        if last - first + 1 == len(self.classes):
            return f"{first} to {last}"
        return " or ".join(self.classes)

    def predictions(self, images: np.ndarray) -> list[dict[str, Any]]:
        """Classify images.

        Args:
            images: (n_samples, height, width) uint8.

        Returns:
            For each image: `class`, the predicted class; `scores`, one for each class, or
            the one that is compared with thresholds; and `probabilities`, by class, if the
            model has them.
        """
        scores, decision = self.model.scores(images), self.model.decision
        classes = decision.predict(scores, self.thresholds)
        predictions: list[dict[str, Any]] = [
            {"class": self.values[index], "scores": row}
            for index, row in zip(classes, scores.tolist(), strict=True)
        ]
        if isinstance(decision, Probabilistic):
            probabilities = np.exp(decision.log_probabilities(scores))
            for prediction, row in zip(predictions, probabilities.tolist(), strict=True):
                prediction["probabilities"] = dict(zip(self.classes, row, strict=True))
        return predictions


def load(checked: Params, names: list[str], root: Path) -> list[Variant]:
    """Return the variants of those names, or all.

    Raises:
        InputError: If a name is unknown or a model is missing.
    """
    variants = []
    classes = dataset.load_names(root / "data/raw")
    for name in dict.fromkeys(names or checked.variants):
        cli.check_name(checked, "variant", name)
        path = root / "data/models" / f"{name}.npz"
        if not path.is_file():
            raise InputError(
                f"{path} is missing; `dvc repro` trains it, `dvc pull` fetches it"
            )
        thresholds = checked.variants[name].evaluate.all_thresholds
        variants.append(Variant(name, serialization.load(path), thresholds, classes))
    return variants


def image_shape(variants: list[Variant], root: Path) -> tuple[int, int]:
    """Return height and width of the images that the variants were trained on.

    Raises:
        InputError: If the test images cannot be read, or a model is of another size.
    """
    height, width = dataset.load_split(root / "data/raw/test").images.shape[1:]
    for variant in variants:
        if variant.model.n_pixels != height * width:
            raise InputError(
                f"{variant.name} was trained on images of another size than {height} by "
                f"{width}; `dvc repro` trains it again"
            )
    return height, width


@dataclass(frozen=True)
class Found:
    """What a path names.

    Attributes:
        images: The image files, sorted.
        others: The files and folders that are not read, each with the reason, sorted.
    """

    images: list[Path]
    others: dict[Path, str]


def find(path: Path) -> Found:
    """Return the file itself, or all files in a folder and the folders in it."""
    if not path.is_dir():
        return Found([path], {})
    images: list[Path] = []
    others: dict[Path, str] = {}

    def note(error: OSError) -> None:
        others[Path(error.filename)] = f"cannot be read: {error.strerror}"

    for top, folders, files in os.walk(path, onerror=note):
        for name in folders:
            if (folder := Path(top, name)).is_symlink():
                others[folder] = "is a symbolic link to a folder, which is not followed"
        for file in (Path(top, name) for name in files):
            if file.name.startswith("."):
                others[file] = "is hidden"
            elif file.suffix.lower() not in image_input.SUFFIXES:
                others[file] = f"its name does not end in {' '.join(SUFFIXES)}"
            else:
                images.append(file)
    return Found(sorted(images), dict(sorted(others.items())))


def name_of(file: Path) -> str:
    """Return a file's name as printable text, whatever bytes it has."""
    return printable(os.fsencode(file).decode(errors="backslashreplace"))


def display_width(text: str) -> int:
    """Return the width of a text in columns of a terminal."""
    return sum(
        0
        if unicodedata.combining(letter)
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


class Table:
    """Prints a line per image: the predicted classes, and the scores of chosen variants."""

    def __init__(self, files: list[Path], variants: list[Variant], *, scores: bool) -> None:
        self.scores = scores
        width = max(map(display_width, ("file", *map(name_of, files))))
        self.widths = [width]
        above, below = [""], ["file"]
        for variant in variants:
            above += [variant.name]
            below += [variant.class_summary]
            texts = (variant.name, variant.class_summary, *variant.classes)
            self.widths += [max(map(display_width, texts))]
            decision = variant.model.decision
            if scores and decision.uses_thresholds:
                above += [""]
                below += [decision.label]
            elif scores:
                above += [decision.label, *[""] * (len(variant.classes) - 1)]
                below += variant.classes
            self.widths += [
                max(SCORE_WIDTH, display_width(name)) for name in below[len(self.widths) :]
            ]
        self.heading: list[list[str]] | None = [above, below]

    def row(self, file: Path, predictions: dict[str, dict[str, Any]]) -> None:
        """Print the line of an image; before the first one, the heading."""
        for line in self.heading or []:
            self._print(line)
        self.heading = None
        cells = [name_of(file)]
        for prediction in predictions.values():
            cells.append(str(prediction["class"]))
            if self.scores:
                probabilities = prediction.get("probabilities", {})
                shown = [*probabilities.values()] or prediction["scores"]
                cells += (f"{value:.4f}" for value in shown)
        self._print(cells)

    def close(self) -> None:
        """Do nothing: all is printed."""

    def _print(self, cells: list[str]) -> None:
        pairs = zip(cells, self.widths, strict=True)
        padded = (cell + " " * (width - display_width(cell)) for cell, width in pairs)
        print(COLUMN_GAP.join(padded).rstrip())


class Json:
    """Prints a list in JSON, one element per line."""

    def __init__(self) -> None:
        self.separator = "["

    def row(self, file: Path, predictions: dict[str, dict[str, Any]]) -> None:
        """Print the element of an image."""
        element = json.dumps({"file": str(file), "variants": predictions})
        print(f"{self.separator}\n{element}", end="")
        self.separator = ","

    def close(self) -> None:
        """Print the end of the list."""
        print("[]" if self.separator == "[" else "\n]")


def predict(
    files: list[Path],
    variants: list[Variant],
    printer: Table | Json,
    read_image: Callable[[Path], np.ndarray],
) -> bool:
    """Print the predictions for all files; a line on stderr for each that can't be read.

    Args:
        files: Images.
        variants: The models.
        printer: Prints the predictions.
        read_image: Returns the model input of a file, (height, width) uint8, or raises
            `InputError`.

    Returns:
        Whether all could be read.
    """
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    complete = True
    # Predictions on a terminal show the progress themselves.
    hidden = True if sys.stdout.isatty() else None
    with tqdm(total=len(files), unit=" images", leave=False, disable=hidden) as bar:
        for start in range(0, len(files), BATCH_SIZE):
            images = {}
            for file in files[start : start + BATCH_SIZE]:
                try:
                    images[file] = read_image(file)
                except InputError as error:
                    complete = False
                    bar.clear()
                    log.error("error: %s", error)  # noqa: TRY400 (no traceback)
                bar.update()
            if images:
                stacked = np.stack(list(images.values()))
                columns = [variant.predictions(stacked) for variant in variants]
                names = [variant.name for variant in variants]
                for file, *predictions in zip(images, *columns, strict=True):
                    printer.row(file, dict(zip(names, predictions, strict=True)))
    printer.close()
    return complete


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    paths = parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH",
        help=f"an image ({', '.join(image_input.FORMATS)}), or a folder of them",
    )  # fmt: skip
    cli.complete_with(paths, "FILE")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME",
        help="use only this variant, and show its scores; may be given several times",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all scores as JSON")
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Load the models, classify, and return the exit status."""
    root = arguments.root
    with cli.commands_act_on(root):
        checked = params.load(root / "params.yaml")
        variants = load(checked, arguments.variant, root)
        shape = image_shape(variants, root)
    block = checked.dataset
    files: dict[Path, None] = {}
    complete = True
    for path in arguments.paths:
        found = find(path)
        files |= dict.fromkeys(found.images)
        for other, reason in found.others.items():
            log.warning("warning: %s: not classified: %s", name_of(other), reason)
        if not found.images:
            complete = False
            log.error("error: %s: there is no image in this folder", name_of(path))
    table = Table(list(files), variants, scores=bool(arguments.variant))
    complete &= predict(
        list(files),
        variants,
        Json() if arguments.json else table,
        lambda path: image_input.load(
            path, shape, mnist_like=block.mnist_like, invert=block.invert
        ),
    )
    return int(not complete)
