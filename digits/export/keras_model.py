"""LeNet-5 as a Keras model: images in, probabilities out."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from digits.errors import InputError
from digits.export.fitted import Fitted, margins
from digits.methods import lenet5

METADATA = "metadata.json"  # of Keras, in the archive


def save(fitted: Fitted, path: Path) -> None:
    """Write the model; the same model and metadata give the same bytes.

    Raises:
        InputError: It is no LeNet-5, its images are deskewed, or Keras cannot be imported.
    """
    if refusal := refused(fitted):
        raise InputError(refusal)
    whole = path.with_name(f"{path.name}.whole.keras")
    try:
        build(fitted).save(whole)
        _without_times(whole, path, fitted.metadata)
    finally:
        whole.unlink(missing_ok=True)


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
    network = keras.Sequential(
        [
            layers.Input(fitted.shape, dtype="uint8", name="images"),
            layers.Reshape((*fitted.shape, 1)),
            layers.Rescaling(1 / 255),
            layers.ZeroPadding2D(margins(fitted.shape)),
            layers.Conv2D(lenet5.CONV_FILTERS[0], lenet5.KERNEL, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(lenet5.CONV_FILTERS[1], lenet5.KERNEL, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(lenet5.DENSE_UNITS[0], activation="relu"),
            layers.Dense(lenet5.DENSE_UNITS[1], activation="relu"),
            layers.Dense(len(model.classes), activation="softmax"),
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


def _without_times(archive: Path, path: Path, metadata: dict[str, Any]) -> None:
    """Copy an archive of Keras without times, and with the metadata of the model.

    Keras reads only its own keys of the metadata.
    """
    with ZipFile(archive) as source, ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == METADATA:
                kept = json.loads(content)
                del kept["date_saved"]
                kept["digits"] = metadata
                content = json.dumps(kept, ensure_ascii=False).encode()
            target.writestr(ZipInfo(name), content)
