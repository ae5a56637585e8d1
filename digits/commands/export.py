"""Write a trained model to a file that other programs can use, without this package.

onnx is for all models, keras for LeNet-5, and joblib, which scikit-learn loads, for linear
models. The model takes grey images like the training images; preprocessing and
standardisation are part of it. Its metadata says where it comes from: parameters, data,
commit and metrics. docs/export.md shows how to use the files.
"""

import argparse
import platform
import subprocess
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits import pipeline
from digits.commands import predict
from digits.commands.verify import md5
from digits.config import cli, params
from digits.config.params import Params
from digits.data import files
from digits.errors import InputError
from digits.export import keras_model, scikit_learn
from digits.export.fitted import INPUT, Fitted
from digits.models import serialization
from digits.pipeline import LOCK, Pipeline

EXAMPLES = """\
examples:
  digits export multinomial                    writes exports/multinomial.onnx
  digits export lenet5 --format keras          writes exports/lenet5.keras
  digits export one_vs_rest --format joblib    writes exports/one_vs_rest.joblib
  digits export lenet5 --output ../lenet5.onnx
  digits export quadratic --in published       writes published/exports/quadratic.onnx

A file in exports/ is replaced, another one only with --force. Git ignores exports/.

exit status: 0 if the file was written, 1 if not
"""
STATUS = 1  # of a user's mistake
FOLDER = "exports"


class Format(NamedTuple):
    """A format of files.

    Attributes:
        writer: The module that writes it.
        library: The package that it needs, and whose version is recorded.
        remedy: What to do if that is not installed.
    """

    writer: str
    library: str
    remedy: str = "run `make setup`"


FORMATS = {
    "onnx": Format("digits.export.onnx_model", "onnx", "run `make setup EXTRAS=export`"),
    "keras": Format("digits.export.keras_model", "keras", "use Python 3.11 to 3.13"),
    "joblib": Format("digits.export.scikit_learn", "scikit-learn"),
}
# Why a model has no such form; None if it has. ONNX has one for every model.
REFUSED = {"keras": keras_model.refused, "joblib": scikit_learn.refused}


def provenance(root: Path, checked: Params, name: str) -> dict[str, Any]:
    """Return what dvc.lock and Git know about a variant and its results.

    Args:
        root: The folder of the project.
        checked: The parameters.
        name: The variant.

    Raises:
        InputError: dvc.lock does not record this model with these parameters and metrics.
    """
    project, stage = Pipeline(root), f"evaluate@{name}"
    again = f"run `dvc repro {stage}`"
    train, evaluate = (project.recorded.get(s, {}) for s in (f"train@{name}", stage))
    key = f"variants.{name}.evaluate"
    was = ((evaluate.get("params") or {}).get("params.yaml") or {}).get(key)
    if was is None:
        raise InputError(f"{root / LOCK}: has no result of {stage}; {again}")
    if was != project.params["variants"][name]["evaluate"]:
        raise InputError(
            f"{root / LOCK}: its result of {stage} is of another {key} than that in "
            f"params.yaml; {again}"
        )
    model, metrics = f"data/models/{name}.npz", f"metrics/{name}.json"
    for path, entries in (
        (model, train.get("outs", [])),
        (model, evaluate["deps"]),
        (metrics, evaluate["outs"]),
    ):
        if md5(root / path) != _hashes(entries).get(path):
            raise InputError(f"{root / path}: is not the one that {LOCK} records; {again}")
    subset = f"data/subsets/{checked.variants[name].subset}"
    pipeline.refuse_foreign_repository(root)
    return {
        "data": {
            "name": checked.dataset.name,
            "training_images": _hashes(train["deps"]).get(f"{subset}/train"),
            "test_images": _hashes(evaluate["deps"]).get(f"{subset}/test"),
        },
        "metrics": files.read_json(root / metrics),
        "commit": _git(root, "rev-parse", "--verify", "HEAD") or None,
        "is_changed": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
    }


def _hashes(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Return the MD5 of each entry of a stage in dvc.lock, by path."""
    return {entry["path"]: entry.get("md5", "") for entry in entries}


def _git(root: Path, *arguments: str) -> str:
    """Return what Git prints, nothing if it fails."""
    command = ("git", "--no-optional-locks", *arguments)
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 (Git)
    return result.stdout.strip()


def load(root: Path, name: str) -> Fitted:
    """Load the model of a variant with its metadata, but for versions.

    Args:
        root: The folder of the project.
        name: The variant.

    Raises:
        InputError: The name is unknown, or the model is missing or out of date.
    """
    checked = params.load(root / "params.yaml")
    (variant,) = predict.load(checked, [name], root)
    shape = predict.image_shape([variant], root)
    chosen, model = checked.variants[name], variant.model
    path = root / "data/models" / f"{name}.npz"
    expected = chosen.text("subset", "train")
    serialization.check_parameters(path, model.parameters, expected, f"train@{name}")
    known = {
        "variant": name,
        "input": INPUT.format(*shape),
        "labels": variant.labels,
        "names": variant.classes,
        "parameters": chosen.model_dump(mode="json", exclude_unset=True),
        **provenance(root, checked, name),
    }
    return Fitted(name, model, variant.thresholds, shape, known)


def versions(chosen: Format) -> dict[str, str]:
    """Return the versions of Python and packages.

    Raises:
        InputError: The package that writes the format is not installed.
    """
    try:
        library = metadata.version(chosen.library)
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"the package {chosen.library} is not installed: {chosen.remedy}"
        ) from error
    return {
        "python": platform.python_version(),
        "digits": metadata.version("digits"),
        "numpy": np.__version__,
        chosen.library: library,
    }


def refuse_format(fitted: Fitted, chosen: str) -> None:
    """Raise `InputError` if the model has no form in this format."""
    refused = {name: reason(fitted) for name, reason in REFUSED.items()}
    if reason := refused.get(chosen):
        others = " or ".join(name for name in FORMATS if not refused.get(name))
        raise InputError(f"{fitted.variant}: {reason}; use --format {others}")


def target(arguments: argparse.Namespace) -> Path:
    """Return the path of the file.

    Raises:
        InputError: It has another suffix, or exists and may not be replaced.
    """
    suffix = f".{arguments.format}"
    default: Path = arguments.root / FOLDER / f"{arguments.variant}{suffix}"
    path: Path = arguments.output or default
    if path.suffix != suffix:
        raise InputError(f"{path}: --format {arguments.format} needs a name in {suffix}")
    cli.check_output(path, force=arguments.force or path == default)
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("variant", metavar="VARIANT", help="a name in params.yaml")
    parser.add_argument(
        "--format", choices=FORMATS, default="onnx", help="of the file (default: onnx)"
    )
    output = parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help=f"the file to write (default: {FOLDER}/VARIANT.FORMAT in the project)",
    )  # fmt: skip
    cli.complete_with(output, "FILE")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Load the model, write the file, and return the exit status."""
    chosen, root = FORMATS[arguments.format], arguments.root
    path = target(arguments)
    with cli.commands_act_on(root):
        fitted = load(root, arguments.variant)
    refuse_format(fitted, arguments.format)
    fitted.metadata["versions"] = versions(chosen)
    writer = import_module(chosen.writer)
    with files.replacing(path) as temporary:
        writer.save(fitted, temporary)
        size = temporary.stat().st_size
    print(f"{path}: {size / 1000:,.0f} kB")
    return 0
