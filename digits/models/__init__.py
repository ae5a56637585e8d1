"""What all fitted models share: scores, a decision, how they lie on disk.

    images → (preprocessing) → scores → decision → a class

A model of any kind is a frozen dataclass of arrays with the four fields of `Model` below
and the fields of its own. `digits.methods.<model>`, by the name that `train.model` has in
params.yaml, has all of it: see there.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from textwrap import shorten
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from digits import methods
from digits.data import files
from digits.errors import InputError
from digits.models import preprocessing

# threshold    one score, cut at ascending thresholds
# sigmoid      one score, the log-odds of the second class, cut at 0
# one_vs_rest  a score for each class, its log-odds against all others; the largest
# softmax      a score for each class, its log-probability up to a constant; the largest
# largest      a score for each class, from which no probability follows; the largest
Decision = Literal["threshold", "sigmoid", "one_vs_rest", "softmax", "largest"]
ONE_SCORE = ("threshold", "sigmoid")
SHARED = "linear"  # the kind of model that several methods fit
PROBABLE = ("sigmoid", "one_vs_rest", "softmax")


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """A fitted model.

    classes: (n_classes,) uint8, the digits in ascending order
    decision: how scores become a digit
    preprocess: what is done to images of any size before all else, see `preprocessing`
    parameters: what params.yaml said of it when it was fitted, as JSON

    Of the fields of its own, whole numbers, floats and texts are kept as such; arrays
    are those whose shapes `_shapes` names.
    """

    kind: ClassVar[str]
    classes: np.ndarray
    decision: Decision = "largest"
    preprocess: str = "none"
    parameters: str = "{}"

    @property
    @abstractmethod
    def n_pixels(self) -> int:
        """Height times width of the images that it was fitted on."""

    @property
    def n_outputs(self) -> int:
        """How many scores an image gets."""
        return 1 if self.decision in ONE_SCORE else len(self.classes)

    @abstractmethod
    def _scores(self, images: np.ndarray) -> np.ndarray:
        """Return the scores of images that are preprocessed."""

    @abstractmethod
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return which shape each array must have."""

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_outputs) float64 scores.

        images: (n_samples, height, width), grey values from 0 to 255
        """
        return self._scores(preprocessing.apply(images, self.preprocess))

    def save(self, path: Path) -> None:
        """Write an npz without pickle; the same model gives the same bytes."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        files.write_npz(path, kind=self.kind, **own)

    def problem(self) -> str | None:
        """Return why this is no model, if so."""
        for name, shape in self._shapes().items():
            array = getattr(self, name)
            if array.shape != shape:
                return f"{name} has shape {array.shape}, expected {shape}"
            if array.dtype.kind not in "uif":
                return f"{name} holds {array.dtype}, no numbers"
            if not np.isfinite(array).all():
                return f"{name} holds values that are not finite"
        return None


@dataclass
class Course:
    """How a training went, and where it may keep what is unfinished.

    scratch: a folder that is left when the training is killed, and may not exist
    rows: what was recorded: step, measure, split and value
    """

    scratch: Path = Path("data/unfinished")
    rows: list[tuple[int, str, str, float]] = field(default_factory=list)

    def record(
        self, step: int, measure: str, value: float, split: str = "training"
    ) -> None:
        """Note a measure after a step, to six significant digits."""
        self.rows.append((step, measure, split, float(f"{value:.6g}")))


# images (n_samples, height, width) uint8; class indices y (n_samples,); classes
# (n_classes,); the variant's block under `train`; its course
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, Any, Course], Model]


def fit_of(model: str) -> Fit:
    """Return the function that fits a `train.model` of params.yaml."""
    return importlib.import_module(f"digits.methods.{model}").fit


def class_of(kind: str) -> type[Model]:
    """Return the class of a kind of fitted model.

    Linear models share one; any other is `MODEL` in the module of its method.
    """
    name = "digits.models.linear" if kind == SHARED else f"digits.methods.{kind}"
    cls: type[Model] = importlib.import_module(name).MODEL
    return cls


class Header(NamedTuple):
    """What can be known of a model without the module of its kind."""

    kind: str
    classes: np.ndarray
    decision: Decision
    preprocess: str
    parameters: str


def header(path: Path) -> Header:
    """Read what all kinds have. Raises `InputError` as `load` does."""
    arrays = _read(path, Header._fields, among_others=True)
    kind, decision, preprocess, parameters = (
        str(arrays[name]) for name in ("kind", "decision", "preprocess", "parameters")
    )
    classes = arrays["classes"]
    if kind not in (SHARED, *methods.NAMES):
        raise _unusable(path, f"unknown kind of model {kind!r}")
    if decision not in get_args(Decision):
        raise _unusable(path, f"unknown decision {decision!r}")
    if preprocess not in preprocessing.NAMES:
        raise _unusable(path, f"unknown preprocessing {preprocess!r}")
    if classes.ndim != 1 or classes.dtype != np.uint8:
        raise _unusable(path, f"classes are {classes.dtype} of shape {classes.shape}")
    if len(classes) < 2 or (classes[1:] <= classes[:-1]).any():  # noqa: PLR2004
        raise _unusable(path, f"classes are {classes.tolist()}, not two or more, ascending")
    return Header(kind, classes, decision, preprocess, parameters)  # type: ignore[arg-type] # it is one


def load(path: Path) -> Model:
    """Read what `Model.save` wrote.

    Raises `InputError` if the file is missing, damaged or no model.
    """
    kind = header(path).kind
    cls = class_of(kind)
    own = [f.name for f in fields(cls)]
    values: dict[str, Any] = _read(path, ["kind", *own])
    del values["kind"]
    for f in fields(cls):
        if f.type is not np.ndarray:  # a number or a text
            if values[f.name].shape != ():
                raise _unusable(path, f"{f.name} has shape {values[f.name].shape}")
            values[f.name] = values[f.name].item()
    model = cls(**values)
    problem = model.problem()
    if problem:
        raise _unusable(path, problem)
    return model


def _read(
    path: Path, names: Collection[str], *, among_others: bool = False
) -> dict[str, np.ndarray]:
    try:
        return files.read_npz(path, names, among_others=among_others)
    except (OSError, ValueError) as error:
        raise _unusable(path, f"cannot be read as a model ({error})") from error


def _unusable(path: Path, problem: str) -> InputError:
    return InputError(f"{path}: {problem}; `dvc repro` writes it anew")


def check_parameters(path: Path, made_with: str, expected: str, stage: str) -> None:
    """Raise `InputError` if a result says that other parameters made it.

    made_with, expected: as `Variant.text` returns them
    stage: which one makes it
    """
    if made_with != expected:
        raise InputError(
            f"{path}: was made with {shorten(str(made_with), 300)}, not with {expected}; "
            f"`dvc repro --force --single-item {stage}` makes it again"
        )


def sound(scores: np.ndarray) -> bool:
    """Return whether all scores are finite, and so small that their squares are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(scores * scores).all())


def decide(
    scores: np.ndarray, decision: Decision, thresholds: tuple[float, ...] = ()
) -> np.ndarray:
    """Return the class index, (n_samples,), that the scores are decided to be.

    scores: (n_samples, n_outputs)
    thresholds: one between each two classes, ascending; for `threshold` alone
    """
    match decision:
        case "threshold":
            return np.searchsorted(thresholds, scores[:, 0])
        case "sigmoid":
            return (scores[:, 0] > 0).astype(np.intp)
        case _:
            return scores.argmax(axis=1)


def log_probabilities(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """Return (n_samples, n_classes) log-probabilities, of a decision in `PROBABLE`.

    One-versus-rest probabilities are made to sum to one, as scikit-learn does.
    """
    match decision:
        case "sigmoid":
            return -np.logaddexp(0, np.hstack([scores, -scores]))
        case "one_vs_rest":
            logits = -np.logaddexp(0, -scores)
        case "softmax":
            logits = scores
        case _:
            raise ValueError(f"{decision} has no probabilities")
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
