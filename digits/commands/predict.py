"""Classify images with the trained models.

With MNIST, an image may have any size and colours, dark on light or light on dark, with the
digit anywhere in it: it is converted to MNIST's format. With other data an image must look
like the training images: it is only converted to grey and scaled to their size.

The images of a CSV file are used as they are, as those of the data set.
"""

import argparse
import csv
import json
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digits.config import cli, params
from digits.config.params import Params
from digits.data import arrays, csv_table, dataset, files
from digits.data.options import Options
from digits.errors import InputError, printable
from digits.images import image_input
from digits.images.image_input import Seen
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
  digits predict --csv test.csv --output submission.csv --variant lenet5
                                                  for Kaggle's Digit Recognizer

In a folder, files are images if their names say so; a warning names each other file, and
each image in which may be two digits, or hardly any ink.

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

    for top, folders, names in os.walk(path, onerror=note):
        for name in folders:
            if (folder := Path(top, name)).is_symlink():
                others[folder] = "is a symbolic link to a folder, which is not followed"
        for file in (Path(top, name) for name in names):
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

    def row(self, file: Path, predictions: dict[str, Any], _: Sequence[str]) -> None:
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

    def row(self, file: Path, predictions: dict[str, Any], warnings: Sequence[str]) -> None:
        """Print the element of an image."""
        element = json.dumps(
            {"file": str(file), "warnings": warnings, "variants": predictions}
        )
        print(f"{self.separator}\n{element}", end="")
        self.separator = ","

    def close(self) -> None:
        """Print the end of the list."""
        print("[]" if self.separator == "[" else "\n]")


def predict(
    files: list[Path],
    variants: list[Variant],
    printer: Table | Json,
    read_image: Callable[[Path], Seen],
) -> bool:
    """Print the predictions for all files.

    A line on stderr names each file that cannot be read, or only with doubts.

    Args:
        files: Images.
        variants: The models.
        printer: Prints the predictions.
        read_image: Returns the model input of a file, or raises `InputError`.

    Returns:
        Whether all could be read.
    """
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    complete = True
    # Predictions on a terminal show the progress themselves.
    hidden = True if sys.stdout.isatty() else None
    with tqdm(total=len(files), unit=" images", leave=False, disable=hidden) as bar:
        for start in range(0, len(files), BATCH_SIZE):
            images: dict[Path, Seen] = {}
            for file in files[start : start + BATCH_SIZE]:
                try:
                    images[file] = read_image(file)
                except InputError as error:
                    complete = False
                    bar.clear()
                    log.error("error: %s", error)  # noqa: TRY400 (no traceback)
                else:
                    if doubts := "; ".join(images[file].doubts):
                        bar.clear()
                        log.warning("warning: %s: %s", name_of(file), doubts)
                bar.update()
            if images:
                stacked = np.stack([seen.pixels for seen in images.values()])
                columns = [variant.predictions(stacked) for variant in variants]
                names = [variant.name for variant in variants]
                for file, *predictions in zip(images, *columns, strict=True):
                    by_name = dict(zip(names, predictions, strict=True))
                    printer.row(file, by_name, images[file].doubts)
    printer.close()
    return complete


def predict_table(
    path: Path, variant: Variant, shape: tuple[int, int], options: Options
) -> list[Any]:
    """Return the predicted class of each line of a CSV file.

    Args:
        path: The file, with or without a header and a column of labels.
        variant: The model.
        shape: Height and width of the images that it was trained on.
        options: How to change the images, as those of the data set.

    Raises:
        InputError: If the file cannot be read, or its images have another size.
    """
    table = csv_table.read(path)
    images = arrays.to_images(table.images, path, options)
    if images.shape[1:] != shape:
        there, trained = (" by ".join(map(str, s)) for s in (images.shape[1:], shape))
        raise InputError(
            f"{path}: has images of {there} pixels, but {variant.name} was trained on "
            f"images of {trained}"
        )
    if table.labels is not None:
        log.info("%s: its labels are not used", path)
    return [
        prediction["class"]
        for start in range(0, len(images), BATCH_SIZE)
        for prediction in variant.predictions(images[start : start + BATCH_SIZE])
    ]


def write_submission(classes: list[Any], output: Path | None) -> None:
    """Write what Kaggle's Digit Recognizer takes: a line for each image, from 1.

    Args:
        classes: The predicted class of each image.
        output: The file; None: stdout.
    """
    header, rows = ("ImageId", "Label"), [*enumerate(classes, start=1)]
    if output is not None:
        files.write_csv(output, header, rows)
        log.info("%s: %d predictions", output, len(rows))
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])


def _check_arguments(arguments: argparse.Namespace) -> None:
    """Raise `InputError` if arguments do not belong together."""
    output: Path | None = arguments.output
    if arguments.csv is None:
        if output is not None or arguments.force:
            raise InputError("--output and --force are for --csv")
        if not arguments.paths:
            raise InputError("name an image, a folder of images, or a file with --csv")
        return
    if arguments.paths or arguments.json:
        raise InputError("--csv takes no images and no --json")
    if output is not None:
        cli.check_output(output, force=arguments.force)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    paths = parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH",
        help=f"an image ({', '.join(image_input.FORMATS)}), or a folder of them",
    )  # fmt: skip
    cli.complete_with(paths, "FILE")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME",
        help="use only this variant, and show its scores; may be given several times",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all scores as JSON")
    table = parser.add_argument(
        "--csv", type=Path, metavar="FILE",
        help="classify the images in a CSV file with one variant; print ImageId,Label",
    )  # fmt: skip
    cli.complete_with(table, "FILE")
    output = parser.add_argument(
        "--output", type=Path, metavar="FILE", help="with --csv: write to this file"
    )
    cli.complete_with(output, "FILE")
    parser.add_argument(
        "--force", action="store_true", help="replace the file of --output if it exists"
    )
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Load the models, classify, and return the exit status."""
    root = arguments.root
    _check_arguments(arguments)
    with cli.commands_act_on(root):
        checked = params.load(root / "params.yaml")
        chosen = {*(arguments.variant or checked.variants)}
        if arguments.csv is not None and len(chosen) > 1:
            names = ", ".join(sorted(chosen))
            raise InputError(f"--csv takes one variant; name it with --variant: {names}")
        variants = load(checked, arguments.variant, root)
        shape = image_shape(variants, root)
    if arguments.csv is not None:
        classes = predict_table(arguments.csv, variants[0], shape, checked.dataset.options)
        write_submission(classes, arguments.output)
        return 0
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
