"""Show what the pipeline would read from a file or a folder, before anything runs.

Prints the format, the size of the images, how many there are of each class, what is changed
or left out, and a complete params.yaml for this data. Draws a few images of each class.
Nothing else is written. DVC is not needed, nor a project.
"""

import argparse
import logging
import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from digits.commands.predict import display_width
from digits.config import cli
from digits.data import dataset, large, readers, registry
from digits.data.dataset import Dataset
from digits.data.ignore import NOTHING, Ignored
from digits.data.options import KEEP
from digits.errors import InputError
from digits.images import image_input

log = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  digits inspect data/own/mine                        a folder
  digits inspect ~/Downloads/train.csv                a file outside of the project
  digits inspect --params data/own/mine               only the parameters
  digits inspect --output mine.png data/own/mine      the picture under another name

exit status: 0 if the data can be read, perhaps with the parameters that are proposed; 1 if
it cannot, with the message of the stage `download`
"""
STATUS = 1  # of a user's mistake
ANYWHERE = True  # no project is needed

OWN = Path("data/own")
PICTURE = "samples.png"
PAPER = 192  # grey value
NEARLY_ALL = 0.9  # share of the images
LEGIBLE = 20  # pixels
VARIANTS = """\
variants:
  logistic:
    subset: pair
    train: {model: logistic_regression, C: 0.01, max_iter: 2000, tol: 1.0e-9}
    evaluate: {}
  softmax:
    subset: everything
    train: {model: multinomial_logistic, C: 1.0, max_iter: 2000, tol: 1.0e-9}
    evaluate: {}
"""
# How an error of a reader names the parameter that it lacks, and a value for it.
ADVICE = re.compile(r"set dataset\.(\w+) in params\.yaml, such as to (\[.*?\]|[\w.]+\w)")


class Place(NamedTuple):
    """Where the data is.

    Attributes:
        path: As it was named.
        root: The folder of the project that it is in, or else of that in the working
            folder; None if there is none.
        source: Its path in the project; None if it is not in its data/own/.
    """

    path: Path
    root: Path | None
    source: Path | None

    @classmethod
    def of(cls, path: Path) -> "Place":
        """Return the place of a path."""
        whole = Path(os.path.abspath(path))  # noqa: PTH100 (does not resolve links)
        for folder in whole.parents:
            inside = whole.relative_to(folder)
            if inside.is_relative_to(OWN) and (folder / "params.yaml").is_file():
                root = Path() if folder == Path.cwd() else folder
                return cls(path, root, inside)
        return cls(path, Path() if Path("params.yaml").is_file() else None, None)


class _Collector(logging.Handler):
    """Appends each record of a log to a list."""

    def __init__(self, found: list[logging.LogRecord]) -> None:
        super().__init__()
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        self.found.append(record)


@contextmanager
def messages() -> Iterator[list[logging.LogRecord]]:
    """Collect what the readers log in the block, instead of printing it."""
    found: list[logging.LogRecord] = []
    logger = logging.getLogger("digits.data")
    handler = _Collector(found)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


class Found(NamedTuple):
    """What was read.

    Attributes:
        data: The data set.
        options: The parameters of `dataset` that reading it takes.
        said: What the readers said, by the level of the log.
        name: The name of the known data set that it is, or None.
    """

    data: Dataset
    options: dict[str, Any]
    said: dict[int, list[str]]
    name: str | None


def read(place: Place) -> Found:
    """Read data, with the parameters that it takes and those that suit its images.

    Raises:
        InputError: If it cannot be read whatever the parameters.
    """
    found = _read_as_advised(place, {})
    if found.name is not None:
        return found
    for key in ("transpose", "centre", "invert"):
        if SUITS[key](place, found):
            with suppress(InputError):
                found = _read_as_advised(place, found.options | {key: True})
    return found


def _read_as_advised(place: Place, options: dict[str, Any]) -> Found:
    """Read data, with the parameters that the readers' errors advise in addition."""
    while True:
        with messages() as records:
            try:
                data = _read(place, options)
            except InputError as error:
                advised = ADVICE.search(str(error))
                if not advised or advised[1] in options:
                    raise
                options = options | {advised[1]: yaml.safe_load(advised[2])}
                continue
        said: dict[int, list[str]] = {}
        for record in records:
            text = record.getMessage().removeprefix("warning: ")
            said.setdefault(record.levelno, []).append(text)
        return Found(data, options, said, known_name(data))


def _is_emnist(place: Place, _found: Found) -> bool:
    """Return whether a name says so: EMNIST's images are transposed."""
    names = [path.name for path in place.path.rglob("*")] or [place.path.name]
    return any("emnist" in name.lower() for name in names)


def _are_digits(_place: Place, found: Found) -> bool:
    """Return whether the classes are digits, and the images large enough to centre them."""
    data = found.data
    return (
        set(data.names) <= set(dataset.DIGITS)
        and min(data.train.images.shape[1:]) >= LEGIBLE
    )


def _are_dark_on_light(_place: Place, found: Found) -> bool:
    """Return whether the border of nearly all training images is as light as paper."""
    images = found.data.train.images
    along = image_input.border(*images.shape[1:])
    if found.options.get("centre"):
        return False
    blocks = (images[rows][:, along] for rows in large.slices(len(images)))
    light = np.concatenate([np.median(block, axis=1) >= PAPER for block in blocks])
    return bool(light.mean() > NEARLY_ALL)


# Whether a parameter suits the images, and why.
SUITS: dict[str, Callable[[Place, Found], bool]] = {
    "transpose": _is_emnist,
    "centre": _are_digits,
    "invert": _are_dark_on_light,
}
REASONS = {
    "test_share": "there are no test images, so they are drawn from the training images",
    "size": "the images have several sizes, or are large; smaller ones train faster",
    "transpose": "EMNIST's images are transposed; the picture shows them upright",
    "centre": "the classes are digits; so your own digits are read as in MNIST",
    "invert": "the images are dark on light, and models expect light on dark",
}


def _read(place: Place, options: dict[str, Any]) -> Dataset:
    how = KEEP._replace(**options)
    if how.size is not None:
        how = how._replace(size=(how.size[0], how.size[1]))  # a list in YAML
    if place.root is not None and place.source is not None:
        return readers.read_custom(place.source.as_posix(), place.root, how)
    ignored = NOTHING if place.root is None else Ignored(place.root)
    return readers.read(place.path, ignored, how)


def known_name(data: Dataset) -> str | None:
    """Return the name of a data set whose checksums these arrays have, or None."""
    for name in registry.DATASETS:
        try:
            registry.verify_checksums(name, data, "")
        except InputError:
            continue
        return name
    return None


def parameters(place: Place, found: Found) -> str:
    """Return the content of a params.yaml for the data."""
    source = place.source or (OWN / place.path.resolve().name)
    data = found.data
    block = {"name": found.name or "custom", "source": source.as_posix(), **found.options}
    tested = set(dataset.labels_in(data.test.labels))
    labels = sorted(dataset.labels_in(data.train.labels), key=lambda x: x not in tested)
    are_numbers = all(name == str(i) for i, name in enumerate(data.names))
    pair = [label if are_numbers else data.names[label] for label in sorted(labels[:2])]
    return (
        f"dataset: {_in_yaml(block)}\n\n"
        "subsets:\n"
        f"  pair: {_in_yaml({'classes': pair})}\n"
        "  everything: {classes: all}\n\n"
        f"{VARIANTS}"
    )


def _in_yaml(value: Any) -> str:
    """Return a value in a line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6
    )
    return text.removesuffix("...\n").strip()


def report(place: Place, found: Found) -> Iterator[str]:
    """Yield the lines that say what was read."""
    data = found.data
    yield f"{place.path}: {'; '.join(found.said.get(logging.DEBUG, ['data']))}"
    high, wide = data.train.images.shape[1:]
    images = data.train.images
    yield (
        f"images of {high} by {wide} pixels, with grey values from {images.min()} to "
        f"{images.max()} (mean {images.mean():.0f})"
    )
    yield ""
    yield from _counts(data)
    for level, title in ((logging.INFO, "changed"), (logging.WARNING, "warnings")):
        if said := found.said.get(level):
            yield from ("", f"{title}:", *(f"  {text}" for text in said))
    if twice := repeated(data):
        many = f"{twice} test images are" if twice > 1 else "1 test image is"
        yield from ("", f"warning: {many} among the training images as well")
    if found.options:
        yield from ("", "read with these parameters of `dataset`:")
    for key, value in found.options.items():
        yield f"  {key}: {_in_yaml(value)}  # {REASONS[key]}"


def _counts(data: Dataset) -> Iterator[str]:
    """Yield the lines of a table: the images of each class in both splits."""
    splits = [part.labels for part in data.splits.values()]
    lines: list[tuple[str, list[Any]]] = [("class", [*data.splits])]
    for label in dataset.labels_in(data.train.labels):
        counts = [np.count_nonzero(of == label) for of in splits]
        lines.append((data.names[label], counts))
    lines.append(("all", [*map(len, splits)]))
    width = max(display_width(name) for name, _ in lines)
    for name, counts in lines:
        padding = " " * (width - display_width(name))
        yield f"{name}{padding}" + "".join(f"{count:>9}" for count in counts)


def repeated(data: Dataset) -> int:
    """Return how many test images equal a training image."""
    tested = {image.tobytes() for image in data.test.images}  # the fewer
    both = tested.intersection(image.tobytes() for image in data.train.images)
    return sum(image.tobytes() in both for image in data.test.images)


def picture_path(place: Place, output: Path | None, *, force: bool) -> Path:
    """Return where to write the picture.

    Raises:
        InputError: If a file would be overwritten that this command may not have written.
    """
    if output is None and place.root is not None:
        return place.root / "report" / PICTURE  # Git ignores this folder
    path = output or Path(PICTURE)
    cli.check_output(path, force=force)
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    path = parser.add_argument("path", type=Path, metavar="PATH", help="a file or a folder")
    cli.complete_with(path, "FILE")
    output = parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help=f"the picture, a PNG file (default: report/{PICTURE} in the project that has "
        f"the data, otherwise in the project here; without a project {PICTURE} here)",
    )  # fmt: skip
    cli.complete_with(output, "FILE")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument(
        "--params", action="store_true", help="print only the parameters, and draw nothing"
    )


def main(arguments: argparse.Namespace) -> int:
    """Read, print, draw, and return the exit status."""
    place = Place.of(arguments.path)
    if not place.path.exists():
        raise InputError(f"{place.path}: does not exist")
    if arguments.params:
        print(parameters(place, read(place)), end="")
        return 0
    picture = picture_path(place, arguments.output, force=arguments.force)
    found = read(place)
    print(*report(place, found), sep="\n")
    if place.source is None:
        needed = [place.path]
        if place.path.is_file():
            near = (place.path.with_name(name) for name in readers.NAMES_FILES)
            needed += [path for path in near if path.exists()]
        copy = shlex.join(["cp", "-r", *map(str, needed), f"{OWN}/"])
        print(f"\nTo use this data, put it into {OWN}/ of the project: {copy}")
    print("\nThe whole of params.yaml for this data:\n")
    print(parameters(place, found), flush=True)
    from digits.figures import class_samples  # noqa: PLC0415 (slow to import)

    try:
        class_samples.draw(picture, found.data)
    except OSError as error:
        raise InputError(
            f"{picture}: cannot be written ({error.strerror}); permit it, or name another "
            "file with --output"
        ) from error
    print(f"picture: {picture}")
    return 0
