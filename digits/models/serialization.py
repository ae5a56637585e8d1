"""The file format of models: an npz without pickle, in which each field is an array."""

import importlib
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np

from digits import methods
from digits.data import files
from digits.errors import InputError
from digits.models import preprocessing
from digits.models.base import Model
from digits.models.decision import RULES, Decision

LINEAR = "linear"  # the type of model that several methods fit
MODEL_TYPE = "kind"  # the array of that name in the file


class Header(NamedTuple):
    """The part of a saved model that all types have.

    Attributes: as in `Model`.
    """

    model_type: str
    classes: np.ndarray
    decision: Decision
    preprocess: str
    parameters: str


def save(model: Model, path: Path) -> None:
    """Write a model; the same model gives the same bytes."""
    values = {f.name: getattr(model, f.name) for f in fields(model)}
    values["decision"] = model.decision.name
    files.write_npz(path, **{MODEL_TYPE: model.model_type}, **values)


def read_header(path: Path) -> Header:
    """Read the part that all types of models have.

    Raises:
        InputError: The file is missing, damaged or not a model.
    """
    keys = (MODEL_TYPE, "classes", "decision", "preprocess", "parameters")
    arrays = _read(path, keys, among_others=True)
    classes = arrays.pop("classes")
    values = {name: str(array) for name, array in arrays.items()}
    model_type, decision = values[MODEL_TYPE], values["decision"]
    if model_type not in (LINEAR, *methods.NAMES):
        raise _unusable(path, f"unknown type of model {model_type!r}")
    if decision not in RULES:
        raise _unusable(path, f"unknown decision rule {decision!r}")
    if values["preprocess"] not in preprocessing.NAMES:
        raise _unusable(path, f"unknown preprocessing {values['preprocess']!r}")
    if classes.ndim != 1 or classes.dtype != np.uint8:
        raise _unusable(path, f"classes are {classes.dtype} of shape {classes.shape}")
    if len(classes) < 2 or (classes[1:] <= classes[:-1]).any():  # noqa: PLR2004
        raise _unusable(path, f"classes are {classes.tolist()}, not two or more, ascending")
    return Header(
        model_type, classes, RULES[decision], values["preprocess"], values["parameters"]
    )


def load(path: Path) -> Model:
    """Read what `save` wrote.

    Raises:
        InputError: The file is missing, damaged or not a model.
    """
    header = read_header(path)
    cls = _model_class(header.model_type)
    values: dict[str, Any] = _read(path, [MODEL_TYPE, *(f.name for f in fields(cls))])
    for f in fields(cls):
        if f.type is not np.ndarray:  # a number or a text
            if values[f.name].shape != ():
                raise _unusable(path, f"{f.name} has shape {values[f.name].shape}")
            values[f.name] = values[f.name].item()
            if f.type is not Decision and type(values[f.name]) is not f.type:
                given = repr(values[f.name])
                raise _unusable(path, f"{f.name} is {given}, which has another type")
    del values[MODEL_TYPE]
    model = cls(**values | {"decision": header.decision})
    problem = model.problem()
    if problem:
        raise _unusable(path, problem)
    return model


def check_parameters(path: Path, found: str, expected: str, stage: str) -> None:
    """Check that a result was made with the present parameters.

    Args:
        path: Path of the result, for the message.
        found: The parameters in the result, as `Variant.text` returns them.
        expected: The present parameters.
        stage: The stage that makes the result.

    Raises:
        InputError: The parameters differ.
    """
    if found != expected:
        raise InputError(
            f"{path}: was made with {shorten(str(found), 300)}, not with {expected}; "
            f"`dvc repro --force --single-item {stage}` makes it again"
        )


def _model_class(model_type: str) -> type[Model]:
    """Return the class `MODEL` of the module that has this type of model."""
    # A name that is computed, so that no fingerprint of code follows it.
    package = "models" if model_type == LINEAR else "methods"
    cls: type[Model] = importlib.import_module(f"digits.{package}.{model_type}").MODEL
    return cls


def _read(
    path: Path, names: Collection[str], *, among_others: bool = False
) -> dict[str, np.ndarray]:
    try:
        return files.read_npz(path, names, among_others=among_others)
    except (OSError, ValueError) as error:
        raise _unusable(path, f"cannot be read as a model ({error})") from error


def _unusable(path: Path, problem: str) -> InputError:
    return InputError(f"{path}: {problem}; run `dvc repro` to train it again")
