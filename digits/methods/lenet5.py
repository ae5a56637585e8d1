"""LeNet-5: two convolutions that are subsampled, and three dense layers.

LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
recognition, 1998, section II.B. Sizes are the paper's: 6 maps, 16 maps, 120, 84, with
kernels of 5 by 5 on an image that is padded to 32 by 32. Modern equivalents stand where
today they are usual: rectified units for tanh, the largest of four for their trainable
average, all 6 maps into each of the 16, softmax and cross-entropy for the Gaussian
units, AdamW on a cosine for the second-order steps.

Keras trains it. What is trained is a handful of arrays, and NumPy is enough to ask it.
"""

import dataclasses
import hashlib
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zipfile import BadZipFile

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from digits import memory
from digits.config.blocks import Seed, TrainBlock
from digits.data import files, regular
from digits.errors import InputError
from digits.memory import MIB
from digits.models import Course, Model

log = logging.getLogger(__name__)

SIDE = 32  # the paper's, so that a stroke's end may lie in a kernel's centre
PAD = 2  # at least, for the same reason
KERNEL = 5
MAPS = (6, 16)
UNITS = (120, 84)
WARM_UP = 0.15  # of all steps, until the learning rate is at its highest
THREADS = 2  # two take 0.7 of one's time
BLOCK = 100  # images that are scored at a time
# Variables by which a user sets how TensorFlow, its compiler, oneDNN and Keras compute.
SETTINGS = ("DNNL_", "KERAS_", "ONEDNN_", "TENSORFLOW_", "TF_", "XLA_")
# Those that let libraries take a processor for another one; they are for repairs, and stay.
DISGUISES = ("GLIBC_TUNABLES", "NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE")
# What Linux says of a processor that does not change by itself; the last two are of ARM.
PROCESSOR = ("model name", "cache size", "flags", "Features", "CPU part")


class Options(TrainBlock):
    """LeNet-5, a convolutional network, trained by Keras on TensorFlow."""

    summary = "A convolutional network, LeNet-5; the largest probability wins"

    model: Literal["lenet5"]
    # ten thousand take a day on MNIST
    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="How often each training image is seen."
    )
    batch_size: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Images a step; at most as many as are trained on."
    )
    # A step moves each weight by about as much, and weights are of the order of 0.1. A
    # float32 would round a weight's change away below 1e-8 of it.
    learning_rate: Annotated[float, Field(ge=1e-10, le=1)] = Field(
        description="AdamW's, at its highest; it warms up, then falls along a cosine to 0."
    )
    # a step takes this share, times the learning rate, off each weight
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(description="AdamW's.")
    shift: Annotated[int, Field(ge=0, le=8)] = Field(
        description="In each epoch an image is moved at random by at most so many pixels."
    )
    validation_split: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="The share of the training images on which training is only measured."
    )
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class LeNet5(Model):
    """A trained LeNet-5; its scores are the logits of a softmax.

    height, width: of the images that it was trained on
    kernel_1: (5, 5, 1, 6); kernel_2: (5, 5, 6, 16), float32 as all below
    dense_1: (n_features, 120); dense_2: (120, 84); dense_3: (84, n_classes)
    bias_1 … bias_5: of these layers, one for each output
    """

    kind: ClassVar[str] = "lenet5"
    height: int
    width: int
    kernel_1: np.ndarray
    bias_1: np.ndarray
    kernel_2: np.ndarray
    bias_2: np.ndarray
    dense_1: np.ndarray
    bias_3: np.ndarray
    dense_2: np.ndarray
    bias_4: np.ndarray
    dense_3: np.ndarray
    bias_5: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was trained on."""
        return self.height * self.width

    def _scores(self, images: np.ndarray) -> np.ndarray:
        blocks = (images[i : i + BLOCK] for i in range(0, len(images), BLOCK))
        with threadpool_limits(1, "blas"):  # the last bit depends on the number of threads
            logits = [self._logits(block) for block in blocks]
        return np.concatenate([np.empty((0, self.n_outputs)), *logits])

    def _logits(self, images: np.ndarray) -> np.ndarray:
        """Return float64 scores, so that no rounding of a processor's decides."""
        padded = pad(images.reshape(-1, self.height, self.width))
        maps = padded[..., None].astype(np.float64) / 255
        maps = _pool(_rectify(convolve(maps, self.kernel_1) + self.bias_1))
        maps = _pool(_rectify(convolve(maps, self.kernel_2) + self.bias_2))
        hidden = maps.reshape(len(maps), -1)
        hidden = _rectify(hidden @ self.dense_1.astype(np.float64) + self.bias_3)
        hidden = _rectify(hidden @ self.dense_2.astype(np.float64) + self.bias_4)
        return hidden @ self.dense_3.astype(np.float64) + self.bias_5

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_features = MAPS[1] * features(self.height) * features(self.width)
        outputs = (*MAPS, *UNITS, self.n_outputs)
        return {
            "kernel_1": (KERNEL, KERNEL, 1, MAPS[0]),
            "kernel_2": (KERNEL, KERNEL, *MAPS),
            "dense_1": (n_features, UNITS[0]),
            "dense_2": UNITS,
            "dense_3": (UNITS[1], self.n_outputs),
        } | {f"bias_{layer}": (n,) for layer, n in enumerate(outputs, start=1)}


MODEL = LeNet5


def _margins(side: int) -> tuple[int, int]:
    """Return how many black pixels go before and after an image's side."""
    whole = max(SIDE - side, 2 * PAD)
    return whole // 2, whole - whole // 2


def features(side: int) -> int:
    """Return a side of the maps that the dense layers see, for an image's side."""
    side += sum(_margins(side))
    for _ in MAPS:
        side = (side - KERNEL + 1) // 2
    return side


def pad(images: np.ndarray) -> np.ndarray:
    """Return images with a black margin, so that no side is below 32 pixels."""
    _, height, width = images.shape
    return np.pad(images, ((0, 0), _margins(height), _margins(width)))


def _rectify(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)


def convolve(maps: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlate (_, height, width, n_maps) with a kernel, where it fits in whole."""
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape[:2], axis=(1, 2))
    weights = kernel.transpose(2, 0, 1, 3).reshape(-1, kernel.shape[3])
    return windows.reshape(*windows.shape[:3], -1) @ weights.astype(np.float64)


def _pool(maps: np.ndarray) -> np.ndarray:
    """Return the largest of each two by two; an odd last row or column is dropped."""
    n, height, width, n_maps = maps.shape
    even = maps[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, n_maps).max(axis=(2, 4))


def fit(
    images: np.ndarray,
    y: np.ndarray,
    classes: np.ndarray,
    options: Options,
    course: Course,
) -> LeNet5:
    """Train with a validation split; a killed training goes on from its last epoch.

    The last epoch's weights are the result; validation images are only measured.
    """
    training, validation = split(y, options.validation_split, options.seed)
    if options.batch_size > len(training):
        raise InputError(
            f"train.batch_size: {options.batch_size} are more than the {len(training)} "
            f"images to train on (of {len(images)}, less the validation_split)"
        )
    padded = pad(images)
    # Images are held as they are, in all their shifts, in an epoch's order, by TensorFlow;
    # of a batch, there are the first layer's maps and their gradients.
    batch = 100 * options.batch_size * padded[0].size
    n_bytes = 420 * MIB + 6 * padded.nbytes + batch
    asked = f"Keras on TensorFlow, with train.batch_size: {options.batch_size}"
    memory.require(asked, n_bytes, libraries=1000 * MIB)
    keras, tensorflow = import_keras()
    shifts = shifted(padded, options.shift)
    network = untrained(keras, padded.shape[1:], len(classes), options.seed)
    optimizer = _optimizer(keras, network, options, len(training))
    learn, measure = (
        _pass(keras, tensorflow, network, optimizer, options.batch_size, learns=learns)
        for learns in (True, False)
    )
    state = [*network.trainable_variables, *optimizer.variables]
    checkpoint = Checkpoint(course.scratch / "lenet5.npz", images, y, options)
    done = checkpoint.load(state, course)
    epochs = range(done, options.epochs)
    with tqdm(epochs, "epochs", options.epochs, initial=done, disable=None) as bar:
        for epoch in bar:
            rng = np.random.default_rng([options.seed, epoch])
            rows = rng.permutation(training)
            at = drawn_shifts(len(rows), options.shift, rng)
            seen = learn(shifts[rows, *at][..., None], y[rows])
            held_out = measure(padded[validation][..., None], y[validation])
            if not np.isfinite([*seen, *held_out]).all():
                raise InputError(
                    f"train.learning_rate: with {options.learning_rate:g}, and a "
                    f"weight_decay of {options.weight_decay:g}, the training diverges in "
                    f"epoch {epoch + 1}; set a lower one"
                )
            for of, measured in (("training", seen), ("validation", held_out)):
                for name, value in zip(
                    ("cross-entropy", "accuracy"), measured, strict=True
                ):
                    course.record(epoch + 1, name, float(value), of)
            bar.set_postfix_str(f"validation {float(held_out[1]):.4f}")
            checkpoint.save(state, course, epoch + 1)
    checkpoint.remove()
    names = [f.name for f in dataclasses.fields(LeNet5) if f.type is np.ndarray]
    names.remove("classes")
    weights = dict(zip(names, network.get_weights(), strict=True))
    height, width = images.shape[1:]
    return LeNet5(
        classes=classes, decision="softmax", height=height, width=width, **weights
    )


def split(y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out, each class by the same share."""
    n = len(y)
    order = np.random.default_rng(seed).permutation(n)
    order = order[np.argsort(y[order], kind="stable")]
    n_validation = min(max(1, round(share * n)), n - 1)
    every = (np.arange(n_validation) + 0.5) * n / n_validation
    validation = order[every.astype(np.intp)]
    return np.setdiff1d(np.arange(n), validation), validation


def shifted(images: np.ndarray, most: int) -> np.ndarray:
    """Return a view of each image in all its shifts by at most so many pixels.

    (n_samples, 2 most + 1, 2 most + 1, height, width): `[i, most - down, most - right]` is
    image i, so many pixels further down and to the right.
    """
    wide = np.pad(images, ((0, 0), (most, most), (most, most)))
    return np.lib.stride_tricks.sliding_window_view(wide, images.shape[1:], axis=(1, 2))


def drawn_shifts(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return (2, n) whole numbers from 0 to 2 most: where `shifted` has images' shifts."""
    return rng.integers(0, 2 * most, (2, n), endpoint=True)


def untrained(keras: Any, shape: tuple[int, ...], n_classes: int, seed: int) -> Any:
    """Return Keras's model for padded images of that shape, its first weights drawn."""
    layers = keras.layers
    seeds = iter(np.random.SeedSequence(seed).generate_state(5).tolist())

    def drawn(**other: Any) -> dict[str, Any]:
        return {"kernel_initializer": keras.initializers.HeUniform(next(seeds)), **other}

    return keras.Sequential(
        [
            layers.Input((*shape, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(MAPS[0], KERNEL, **drawn(activation="relu")),
            layers.MaxPooling2D(),
            layers.Conv2D(MAPS[1], KERNEL, **drawn(activation="relu")),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(UNITS[0], **drawn(activation="relu")),
            layers.Dense(UNITS[1], **drawn(activation="relu")),
            layers.Dense(n_classes, **drawn()),
        ]
    )


def _optimizer(keras: Any, network: Any, options: Options, n_training: int) -> Any:
    n_steps = options.epochs * -(-n_training // options.batch_size)
    warm_up = int(WARM_UP * n_steps)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, n_steps - warm_up, warmup_target=options.learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=options.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(network.trainable_variables)
    return optimizer


def _pass(
    keras: Any,
    tensorflow: Any,
    network: Any,
    optimizer: Any,
    batch_size: int,
    *,
    learns: bool,
) -> Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]:
    """Return what goes through all images once; it returns mean loss and accuracy.

    The whole pass is one call of TensorFlow's: `network.fit` takes up to twice as long.
    """
    ops = keras.ops
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def through(images: Any, y: Any) -> tuple[Any, Any]:
        n_samples = ops.shape(images)[0]

        def step(i: Any, sums: tuple[Any, Any]) -> tuple[Any, Any]:
            rows = slice(i * batch_size, (i + 1) * batch_size)
            labels = y[rows]
            with tensorflow.GradientTape() as tape:
                logits = network(images[rows], training=learns)
                loss = loss_of(labels, logits)
                mean = loss / ops.cast(ops.shape(labels)[0], "float32")
            if learns:
                weights = network.trainable_variables
                optimizer.apply(tape.gradient(mean, weights), weights)
            right = ops.sum(ops.cast(ops.argmax(logits, axis=1) == labels, "float32"))
            return sums[0] + loss, sums[1] + right

        n_steps = -(-n_samples // batch_size)
        loss, right = ops.fori_loop(0, n_steps, step, (ops.zeros(()), ops.zeros(())))
        n = ops.cast(n_samples, "float32")
        return loss / n, right / n

    compiled = tensorflow.function(through, autograph=False)
    return lambda images, y: compiled(
        tensorflow.constant(images), tensorflow.constant(y, "int32")
    )


def import_keras() -> tuple[Any, Any]:
    """Import Keras on TensorFlow: quiet, without settings, each sum in a fixed order.

    How a sum is split follows the number of threads, not of processors, so it is fixed:
    the weights do not depend on how many processors there are and what else they do.
    """
    for name in os.environ:
        if name.startswith(SETTINGS):
            del os.environ[name]
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = os.devnull  # no settings of the user's, no file of its own
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        with _silence():
            import keras  # noqa: PLC0415 (seconds; only training needs it)
            import tensorflow  # noqa: PLC0415, ICN001 (likewise; its whole name)
    except ImportError as error:
        raise InputError(
            f"lenet5 is trained with Keras on TensorFlow, which fails ({error}); "
            "there is one for Python 3.11 to 3.13, on Linux, Windows and Apple's ARM"
        ) from error
    tensorflow.config.set_visible_devices([], "GPU")  # a build may have CUDA
    tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    tensorflow.config.experimental.enable_op_determinism()
    return keras, tensorflow


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what is written to stderr: TensorFlow greets with a log that no level mutes."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def arithmetic() -> tuple[Any, ...]:
    """Return what decides the last bits of a step: libraries, processor, what disguises it.

    oneDNN chooses its code by the features of the processor and the sizes of its caches,
    which its model stands for.
    """
    import keras  # noqa: PLC0415 (`fit` has imported both)
    import tensorflow  # noqa: PLC0415, ICN001 (as above)

    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    return (
        *(library.__version__ for library in (keras, np, tensorflow)),
        np.show_config("dicts")["SIMD Extensions"],  # as NumPy finds them, also emulated
        platform.processor(),
        sorted({line for line in lines if line.startswith(PROCESSOR)}),
        *map(os.environ.get, DISGUISES),
    )


OTHER = "other data, parameters, code, libraries or settings, or of another processor"


class Checkpoint:
    """A training after some epoch: weights, the optimiser's state, what was recorded.

    It is used only for the same images, labels, options, code, libraries and processor.
    """

    def __init__(
        self, path: Path, images: np.ndarray, y: np.ndarray, options: Options
    ) -> None:
        self.path = path
        known = hashlib.sha256(Path(__file__).read_bytes())
        known.update(f"{options!r} {images.shape} {arithmetic()}".encode())
        known.update(np.ascontiguousarray(images).data)
        known.update(np.ascontiguousarray(y).data)
        self.key = known.hexdigest()

    def save(self, state: list[Any], course: Course, epoch: int) -> None:
        """Write the state after so many epochs in the place of an earlier one."""
        rows = np.array(course.rows, dtype="U32")
        values = {f"v{i}": v.numpy() for i, v in enumerate(state)}
        done = np.array(epoch)
        files.write_npz(self.path, key=self.key, epoch=done, rows=rows, **values)

    def load(self, state: list[Any], course: Course) -> int:
        """Fill `state` and `course`; return how many epochs are done, 0 if none."""
        if not self.path.exists():
            return 0
        try:
            with (
                regular.file(self.path).open("rb") as raw,
                np.load(raw, allow_pickle=False) as file,
            ):
                if file["key"].item() != self.key:
                    log.info("%s is of %s: starting again", self.path, OTHER)
                    return 0
                epoch = file["epoch"].item()
                values = [file[f"v{i}"] for i in range(len(state))]
                rows = file["rows"].tolist()
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            log.warning("%s cannot be read (%s): starting again", self.path, error)
            return 0
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)
        course.rows[:] = [(int(s), measure, of, float(v)) for s, measure, of, v in rows]
        log.info("resuming after epoch %d", epoch)
        return epoch

    def remove(self) -> None:
        """Leave nothing behind."""
        self.path.unlink()
        with suppress(OSError):  # not empty: another process writes there
            self.path.parent.rmdir()
