"""Ask the trained models about pictures of a digit, or of what else they were trained on.

On MNIST, a picture may be of any size and colour, dark on light or light on dark, with the
digit anywhere on it: it is brought to MNIST's form. With any other data a picture must look
as the training images do: it is made grey and scaled to their size, and no more.
"""

import argparse
import json
import logging
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from digits import pictures
from digits.config import cli, params
from digits.config.params import Params
from digits.data import dataset
from digits.errors import InputError, printable
from digits.models import serialization
from digits.models.base import Model
from digits.normal_form import CENTRED

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  python -m commands.predict seven.png                        what each variant says
  python -m commands.predict scans/                           all pictures in a folder
  python -m commands.predict --variant multinomial seven.png  its scores as well
  python -m commands.predict --json seven.png                 all scores, as JSON
  python -m commands.predict --in published seven.png         those of the published table

exit status: 0; 1 if a picture could not be read, the others are answered; 2 if nothing
could be answered, for instance because no model is trained yet
"""

BATCH = 256  # pictures that are in memory at a time
GAP = "  "
NUMBER = 7  # columns of a terminal that a score takes


class Variant:
    """A trained variant: its model, and the thresholds by which it decides."""

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
        self.noun = dataset.noun(names)
        self.values = [*map(int, self.classes)] if self.noun == "digit" else self.classes

    @property
    def knows(self) -> str:
        """The classes that it can tell apart, for a heading."""
        first, last = self.labels[0], self.labels[-1]
        if len(self.classes) == len("01"):
            return " or ".join(self.classes)
        if self.noun == "class":
            return f"{len(self.classes)} classes"
        if last - first + 1 == len(self.classes):
            return f"{first} to {last}"
        return " or ".join(self.classes)

    def answers(self, images: np.ndarray) -> list[dict[str, Any]]:
        """Return for each of (n_samples, height, width) images the class and the scores.

        digit, or class: what it is said to be
        scores: one for each class, or the one that is cut at thresholds
        probabilities: of each class, if the model has them
        """
        scores, decision = self.model.scores(images), self.model.decision
        classes = decision.predict(scores, self.thresholds)
        answers: list[dict[str, Any]] = [
            {self.noun: self.values[index], "scores": row}
            for index, row in zip(classes, scores.tolist(), strict=True)
        ]
        if decision.is_probabilistic:
            shares = np.exp(decision.log_probabilities(scores))
            for answer, row in zip(answers, shares.tolist(), strict=True):
                answer["probabilities"] = dict(zip(self.classes, row, strict=True))
        return answers


def load(checked: Params, names: list[str], root: Path) -> list[Variant]:
    """Return the variants of those names, or all.

    Raises `InputError` if a name is unknown or a model is missing.
    """
    variants = []
    classes = dataset.load_names(root / "data/raw")
    for name in dict.fromkeys(names or checked.variants):
        cli.check_name(checked, "variant", name)
        path = root / "data/models" / f"{name}.npz"
        if not path.is_file():
            raise InputError(
                f"{path} is missing; `dvc repro` trains it, `dvc pull` gets it"
            )
        thresholds = checked.variants[name].evaluate.all_thresholds
        variants.append(Variant(name, serialization.load(path), thresholds, classes))
    return variants


def frame(variants: list[Variant], root: Path) -> tuple[int, int]:
    """Return height and width of the images that the variants were trained on.

    Raises `InputError` if the test images cannot be read, or a model is of another size.
    """
    height, width = dataset.load_split(root / "data/raw/test").images.shape[1:]
    for variant in variants:
        if variant.model.n_pixels != height * width:
            raise InputError(
                f"{variant.name} was trained on images of another size than {height} by "
                f"{width}; `dvc repro` trains it anew"
            )
    return height, width


def find(path: Path) -> list[Path]:
    """Return a file as it is, of a folder all pictures in it, sorted.

    Raises `InputError` if there are none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in pictures.SUFFIXES and not file.name.startswith(".")
    )
    if not found:
        raise InputError(f"{path}: no picture is in this folder")
    return found


def name_of(file: Path) -> str:
    """Return a file's name, whatever bytes are in it."""
    return printable(os.fsencode(file).decode(errors="backslashreplace"))


def wide(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0
        if unicodedata.combining(letter)
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


class Table:
    """Prints a line a picture: the answers, and the scores of variants that were chosen."""

    def __init__(self, files: list[Path], variants: list[Variant], *, scores: bool) -> None:
        self.scores = scores
        width = max(map(wide, ("file", *map(name_of, files))))
        self.widths = [width]
        above, below = [""], ["file"]
        for variant in variants:
            above += [variant.name]
            below += [variant.knows]
            texts = (variant.name, variant.knows, *variant.classes)
            self.widths += [max(map(wide, texts))]
            decision = variant.model.decision
            if scores and decision.uses_thresholds:
                above += [""]
                below += [decision.label]
            elif scores:
                above += [decision.label, *[""] * (len(variant.classes) - 1)]
                below += variant.classes
            self.widths += [max(NUMBER, wide(name)) for name in below[len(self.widths) :]]
        self.heading: list[list[str]] | None = [above, below]

    def row(self, file: Path, answers: dict[str, dict[str, Any]]) -> None:
        """Print a picture's line, before the first of them the heading."""
        for line in self.heading or []:
            self._print(line)
        self.heading = None
        cells = [name_of(file)]
        for answer in answers.values():
            cells.append(str(answer.get("digit", answer.get("class"))))
            if self.scores:
                probabilities = answer.get("probabilities", {})
                shown = [*probabilities.values()] or answer["scores"]
                cells += (f"{value:.4f}" for value in shown)
        self._print(cells)

    def close(self) -> None:
        """Nothing is left to print."""

    def _print(self, cells: list[str]) -> None:
        pairs = zip(cells, self.widths, strict=True)
        padded = (cell + " " * (width - wide(cell)) for cell, width in pairs)
        print(GAP.join(padded).rstrip())


class Json:
    """Prints a list, an element a line."""

    def __init__(self) -> None:
        self.separator = "["

    def row(self, file: Path, answers: dict[str, dict[str, Any]]) -> None:
        """Print a picture's element."""
        element = json.dumps({"file": str(file), "variants": answers})
        print(f"{self.separator}\n{element}", end="")
        self.separator = ","

    def close(self) -> None:
        """Print what closes the list."""
        print("[]" if self.separator == "[" else "\n]")


def predict(
    files: list[Path],
    variants: list[Variant],
    printer: Table | Json,
    see: Callable[[Path], np.ndarray],
) -> bool:
    """Print the answers for all files, and a line on stderr for each that can't be read.

    see: returns what the models see of a picture, (height, width) uint8, or raises
        `InputError`

    Returns whether all could be read.
    """
    complete = True
    # Where the answers are on the terminal, they show the progress.
    hidden = True if sys.stdout.isatty() else None
    with tqdm(total=len(files), unit=" pictures", leave=False, disable=hidden) as bar:
        for start in range(0, len(files), BATCH):
            seen = {}
            for file in files[start : start + BATCH]:
                try:
                    seen[file] = see(file)
                except InputError as error:
                    complete = False
                    bar.clear()
                    log.error("error: %s", error)  # noqa: TRY400 (no traceback)
                bar.update()
            if seen:
                images = np.stack(list(seen.values()))
                columns = [variant.answers(images) for variant in variants]
                names = [variant.name for variant in variants]
                for file, *answers in zip(seen, *columns, strict=True):
                    printer.row(file, dict(zip(names, answers, strict=True)))
    printer.close()
    return complete


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m commands.predict",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH",
        help=f"a picture ({', '.join(pictures.FORMATS)}), or a folder of them",
    )  # fmt: skip
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME",
        help="ask this variant alone, and show its scores; may be given several times",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all scores as JSON")
    cli.add_root(parser)
    return parser.parse_args()


def main() -> int:
    """Load the models, ask them, and return the exit status."""
    arguments = _arguments()
    root = arguments.root
    with cli.naming(root):
        checked = params.load(root / "params.yaml")
        variants = load(checked, arguments.variant, root)
        shape = frame(variants, root)
    centred = checked.dataset.name in CENTRED
    files: dict[Path, None] = {}
    complete = True
    for path in arguments.paths:
        try:
            files |= dict.fromkeys(find(path))
        except InputError as error:
            complete = False
            log.error("error: %s", error)  # noqa: TRY400 (no traceback)
    table = Table(list(files), variants, scores=bool(arguments.variant))
    complete &= predict(
        list(files),
        variants,
        Json() if arguments.json else table,
        lambda path: pictures.see(path, shape, centred=centred),
    )
    return int(not complete)


if __name__ == "__main__":
    with cli.reporting(2):
        sys.exit(main())
