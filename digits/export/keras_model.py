"""LeNet-5 as a Keras model: images in, probabilities out."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile, ZipInfo

from digits.export.fitted import Fitted, margins
from digits.methods import lenet5

METADATA, CONFIG = "metadata.json", "config.json"  # in Keras's archive


def save(fitted: Fitted, path: Path) -> None:
    """Write the model; the same model and metadata give the same bytes.

    Raises:
        InputError: Keras cannot be imported.
    """
    with TemporaryDirectory() as folder:
        archive = Path(folder) / "model.keras"
        build(fitted).save(archive)
        _reproducible(archive, path, fitted.metadata)


def refused(fitted: Fitted) -> str | None:
    """Return why the model has no such form, None if it has."""
    if not isinstance(fitted.model, lenet5.LeNet5):
        return "only LeNet-5 is a Keras model"
    if fitted.model.preprocess != "none":
        return f"Keras has no layer for the preprocessing {fitted.model.preprocess}"
    return None


def build(fitted: Fitted) -> Any:
    """Return the model of (n, height, width) images and (n, n_classes) probabilities.

    Its weights and sums are float32, and not on grids.
    """
    model: Any = fitted.model
    keras, _ = lenet5.import_keras()
    layers = keras.layers
    filters, units = lenet5.CONV_FILTERS, lenet5.DENSE_UNITS
    network = keras.Sequential(
        [
            layers.Input(fitted.shape, dtype="uint8", name="images"),
            # with names: otherwise Keras counts the layers of a process
            layers.Reshape((*fitted.shape, 1), name="channel"),
            layers.Rescaling(1 / 255, name="rescaling"),
            layers.ZeroPadding2D(margins(fitted.shape), name="padding"),
            layers.Conv2D(filters[0], lenet5.KERNEL, activation="relu", name="conv_1"),
            layers.MaxPooling2D(name="pool_1"),
            layers.Conv2D(filters[1], lenet5.KERNEL, activation="relu", name="conv_2"),
            layers.MaxPooling2D(name="pool_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(units[0], activation="relu", name="dense_1"),
            layers.Dense(units[1], activation="relu", name="dense_2"),
            layers.Dense(len(model.classes), activation="softmax", name="probabilities"),
        ],
        name=fitted.variant,
    )
    kinds = ("kernel_1", "kernel_2", "dense_1", "dense_2", "dense_3")
    network.set_weights(
        [
            getattr(model, name)
            for i, kernel in enumerate(kinds, 1)
            for name in (kernel, f"bias_{i}")
        ]
    )
    return network


def _reproducible(archive: Path, path: Path, metadata: dict[str, Any]) -> None:
    """Copy an archive of Keras without times and addresses, and with other metadata.

    Keras reads only its own keys of the metadata.
    """
    with ZipFile(archive) as source, ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == METADATA:
                kept = {**json.loads(content), "digits": metadata}
                del kept["date_saved"]
                content = json.dumps(kept, ensure_ascii=False).encode()
            elif name == CONFIG:
                numbers: dict[str, str] = {}  # instead of addresses, by their first use
                content = re.sub(
                    r'(?<="shared_object_id": )\d+',
                    lambda found: numbers.setdefault(found[0], str(len(numbers))),  # noqa: B023 (called here)
                    content.decode(),
                ).encode()
            target.writestr(ZipInfo(name), content)
