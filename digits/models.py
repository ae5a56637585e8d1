"""A fitted linear model: its scores, its decision, how it lies on disk.

Every variant is the same two steps:

    scores   = (pixels - mean) / scale · coefᵀ + intercept
    decision = scores → a digit

Only how `coef` and `intercept` were found differs, and that is `solvers`' matter.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args
from zipfile import BadZipFile

import numpy as np
from threadpoolctl import threadpool_limits

from digits import files
from digits.errors import InputError

# threshold    one score, cut at ascending thresholds
# sigmoid      one score, the log-odds of the second class, cut at 0
# one_vs_rest  a score for each class, its log-odds against all others; the largest
# softmax      a score for each class, its log-probability up to a constant; the largest
Decision = Literal["threshold", "sigmoid", "one_vs_rest", "softmax"]


@dataclass(frozen=True)
class LinearModel:
    """A fitted linear model on standardised pixels.

    mean, scale: (n_pixels,) float64, of the training images, in grey values
    coef: (n_outputs, n_pixels) float64
    intercept: (n_outputs,) float64
    classes: (n_classes,) uint8, the digits in ascending order
    decision: how scores become a digit
    """

    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray
    decision: Decision

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return (n_samples, n_outputs) float64 scores.

        images: (n_samples, height, width), grey values from 0 to 255
        """
        X = standardise(images, self.mean, self.scale)
        with threadpool_limits(1, "blas"):  # the last bit depends on the number of threads
            return X @ self.coef.T + self.intercept

    def save(self, path: Path) -> None:
        """Write an npz without pickle; the same model gives the same bytes."""
        files.write_npz(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "LinearModel":
        """Read what `save` wrote.

        Raises `InputError` if the file is missing, damaged or no model.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {field.name: file[field.name] for field in fields(cls)}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            raise InputError(
                f"{path}: cannot be read as a model ({error}); `dvc repro` writes it anew"
            ) from error
        decision = str(arrays.pop("decision"))
        model = cls(**arrays, decision=decision)  # type: ignore[arg-type] # checked next
        problem = model._problem()
        if problem:
            raise InputError(f"{path}: {problem}; `dvc repro` writes it anew")
        return model

    def _problem(self) -> str | None:
        """Return why this is no model, if so."""
        if self.decision not in get_args(Decision):
            return f"unknown decision {self.decision!r}"
        n_classes = len(self.classes)
        n_outputs = 1 if self.decision in ("threshold", "sigmoid") else n_classes
        shapes = {
            "mean": self.mean.shape,
            "scale": self.mean.shape,
            "coef": (n_outputs, *self.mean.shape),
            "intercept": (n_outputs,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape:
                return f"{name} has shape {array.shape}, expected {shape}"
            if not np.isfinite(array).all():
                return f"{name} holds values that are not finite"
        return None


def standardise(images: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return flattened, standardised images, (n_samples, n_pixels) float64."""
    X = images.reshape(len(images), -1).astype(np.float64)
    X -= mean
    X /= scale
    return X


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
    """Return (n_samples, n_classes) log-probabilities of a logistic model.

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
