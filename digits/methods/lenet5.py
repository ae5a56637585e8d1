"""LeNet-5: two convolutional layers with pooling, and three dense layers.

Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998, section II.B. The sizes are the paper's: 6 and 16 filters of 5 by 5 on
images that are padded to 32 by 32, then 120 and 84 units. Where practice has changed, the
modern equivalents are used: ReLU for tanh, max pooling for a trainable average, all 6 maps
as input of each of the 16 filters, softmax with cross-entropy for the Gaussian units, and
AdamW with a cosine schedule for second-order steps.

Keras trains the network. Inference needs only NumPy and the trained arrays, and is exact:
`round_to_grids` derives how.
"""

import dataclasses
import hashlib
import logging
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zipfile import BadZipFile

import numpy as np
from pydantic import Field

from digits import memory, parallel
from digits.config.blocks import Seed, TrainBlock
from digits.data import files, regular
from digits.errors import InputError
from digits.grid import EXACT_BITS, exact_step, round_to
from digits.memory import MIB
from digits.models.base import Model, TrainingSet
from digits.models.decision import Softmax
from digits.models.training_log import TrainingLog

log = logging.getLogger(__name__)

SIDE = 32  # the paper's, so that the end of a stroke can be at the centre of a kernel
PAD = 2  # at least, for the same reason
KERNEL = 5
CONV_FILTERS = (6, 16)
NO_KERNELS = (0, KERNEL, KERNEL, 1, CONV_FILTERS[0])  # of no epoch
DENSE_UNITS = (120, 84)
WARM_UP = 0.15  # the share of the steps in which the learning rate rises
THREADS = 2  # two take 0.7 of the time of one
POOL = 2  # the side of the squares of which max pooling keeps the largest value
WEIGHT_BITS = 22  # of a layer's largest weight; activations get the bits that remain
UPPER_BITS = 16  # of the bounds on activations: exact sums, up to 2¹⁴ inputs of a unit
BLOCK_ROWS = 16  # images that are scored at a time, so that they stay in the cache
# Environment variables that change how TensorFlow, XLA, oneDNN and Keras compute.
SETTINGS = ("DNNL_", "KERAS_", "ONEDNN_", "TENSORFLOW_", "TF_", "XLA_")
# What oneDNN may use: with AVX-512 it sums in another order. TensorFlow would use oneDNN
# only on some processors, and else choose its blocks by the sizes of the caches.
PINNED = {"ONEDNN_MAX_CPU_ISA": "AVX2", "TF_ENABLE_ONEDNN_OPTS": "1"}
AVX2 = {"AVX2", "X86_V3"}  # NumPy's names for it, of which it lists one
# The constant properties of a processor in /proc/cpuinfo; the last two are those of ARM.
CPU_PROPERTIES = ("model name", "cache size", "flags", "Features", "CPU part")


class Options(TrainBlock):
    """LeNet-5, a convolutional network, trained by Keras on TensorFlow."""

    summary = "A convolutional network, LeNet-5; the largest probability wins"
    has_probabilities = True

    model: Literal["lenet5"]
    # ten thousand epochs take a day on MNIST
    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Number of passes over the training images."
    )
    batch_size: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Images per step; at most the number of images to train on."
    )
    # A step changes each weight by about this much, and weights are of the order of 0.1.
    # float32 rounds away changes below 1e-8 of a weight.
    learning_rate: Annotated[float, Field(ge=1e-10, le=1)] = Field(
        description="Peak learning rate of AdamW: linear warm-up, then cosine decay to 0."
    )
    # a step reduces each weight by this share, times the learning rate
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(
        description="Weight decay of AdamW."
    )
    max_shift: Annotated[int, Field(ge=0, le=8)] = Field(
        description="Largest random shift of an image in each direction, in pixels."
    )
    validation_split: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of the training images that is used for validation only."
    )
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class LeNet5(Model):
    """A trained LeNet-5; its scores are the logits of a softmax.

    Attributes:
        height: Height of the images that it was trained on.
        width: Width of the images that it was trained on.
        kernel_1: (5, 5, 1, 6) float32, as all arrays.
        bias_1: (6,).
        kernel_2: (5, 5, 6, 16).
        bias_2: (16,).
        dense_1: (n_features, 120).
        bias_3: (120,).
        dense_2: (120, 84).
        bias_4: (84,).
        dense_3: (84, n_classes).
        bias_5: (n_classes,).
        kernels: (n_epochs + 1, 5, 5, 1, 6), kernel_1 before the training and after each
            epoch, for the report; none if they were not recorded.
    """

    model_type: ClassVar[str] = "lenet5"
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
    kernels: np.ndarray = field(default_factory=lambda: np.empty(NO_KERNELS, np.float32))

    @property
    def n_pixels(self) -> int:
        """Height times width of the images that it was trained on."""
        return self.height * self.width

    @cached_property
    def on_grids(self) -> dict[str, np.ndarray]:
        """The weights and biases that it scores with, float64: see `round_to_grids`."""
        names = list(self._shapes())
        n_layers = len(names) // 2
        weights = [np.asarray(getattr(self, n), np.float64) for n in names[:n_layers]]
        weights[0] = weights[0] / 255  # grey values to 0 … 1
        biases = [getattr(self, name) for name in names[n_layers:]]
        weights, biases = round_to_grids(weights, biases)
        return dict(zip(names, weights + biases, strict=True))

    def _scores(self, X: np.ndarray) -> np.ndarray:
        images = X.reshape(-1, self.height, self.width)
        weights = self.on_grids
        convolutions = [
            (_pooled_kernel(weights[f"kernel_{i}"]), weights[f"bias_{i}"]) for i in (1, 2)
        ]

        def logits(rows: slice) -> np.ndarray:
            maps = pad(images[rows]).transpose(1, 2, 0)[None].astype(np.float64)
            for kernel, bias in convolutions:
                sums = convolve_and_pool(maps, kernel) + bias[:, None, None, None]
                maps = _activate(sums)
            hidden = maps.transpose(3, 1, 2, 0).reshape(maps.shape[-1], -1)
            hidden = _activate(hidden @ weights["dense_1"] + weights["bias_3"])
            hidden = _activate(hidden @ weights["dense_2"] + weights["bias_4"])
            return hidden @ weights["dense_3"] + weights["bias_5"]

        blocks = parallel.map_row_blocks(logits, len(images), BLOCK_ROWS)
        return np.concatenate([np.empty((0, self.n_outputs)), *blocks])

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n_features = CONV_FILTERS[1] * map_side(self.height) * map_side(self.width)
        outputs = (*CONV_FILTERS, *DENSE_UNITS, self.n_outputs)
        return {
            "kernel_1": (KERNEL, KERNEL, 1, CONV_FILTERS[0]),
            "kernel_2": (KERNEL, KERNEL, *CONV_FILTERS),
            "dense_1": (n_features, DENSE_UNITS[0]),
            "dense_2": DENSE_UNITS,
            "dense_3": (DENSE_UNITS[1], self.n_outputs),
        } | {f"bias_{layer}": (n,) for layer, n in enumerate(outputs, start=1)}

    def problem(self) -> str | None:
        """Return what is wrong with the arrays, None if nothing is."""
        problem = super().problem()
        if problem is None and self.kernels.shape[1:] != self.kernel_1.shape:
            problem = f"kernels has shape {self.kernels.shape}"
        if problem is None and self.kernels.dtype != np.float32:
            problem = f"kernels has values of type {self.kernels.dtype}, expected float32"
        if problem is None and not np.isfinite(self.kernels).all():
            problem = "kernels has values that are not finite"
        return problem


MODEL = LeNet5


def _margins(side: int) -> tuple[int, int]:
    """Return the number of black pixels before and after an image's side."""
    total = max(SIDE - side, 2 * PAD)
    return total // 2, total - total // 2


def map_side(side: int) -> int:
    """Return the side of the last feature maps, for the side of an image."""
    side += sum(_margins(side))
    for _ in CONV_FILTERS:
        side = (side - KERNEL + 1) // 2
    return side


def pad(images: np.ndarray) -> np.ndarray:
    """Return images with a black margin, so that each side has at least 32 pixels."""
    _, height, width = images.shape
    return np.pad(images, ((0, 0), _margins(height), _margins(width)))


def round_to_grids(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Round a network so that each of its sums is exact, and so the same in any order.

    A layer's weights become multiples of a step s, and its inputs multiples of a step a,
    both powers of two. Then all products are multiples of a·s, and so is the rounded bias.
    Their sums are exact if a·s ≥ `exact_step(P)`, where no partial sum exceeds P in size.

    An input is between 0 and a bound u: grey values are at most 255, with a = 1, and an
    activation is at most Σ u max(w, 0) + b over the inputs of its unit, because it is
    rounded down. A partial sum is then between -(Σ u max(-w, 0) + |b|) and
    Σ u max(w, 0) + |b|. The larger size of the two, over all units, is P, which holds for
    every image. These sums are exact as well, because each u is rounded up to few bits, so
    every processor finds the same steps.

    s gives the largest weight `WEIGHT_BITS` bits; a is then as small as P allows. Inputs
    are counted in steps, so that they are whole numbers: a layer's weights are multiplied
    by its a, and its weights and bias divided by that of the next layer.

    Args:
        weights: Of each layer, (..., n_in, n_out); the inputs of the first are grey values.
        biases: Of each layer, (n_out,).

    Returns:
        weights: float64, of the same shapes, for inputs that are whole numbers.
        biases: float64, of the same shapes.
    """
    upper = np.array([255.0])
    scaled_weights: list[np.ndarray] = []
    scaled_biases: list[np.ndarray] = []
    for weight, bias in zip(weights, biases, strict=True):
        # The bias decides only if it is 2²⁹ times as large as the weights.
        step = max(_step(weight, WEIGHT_BITS), _step(bias, EXACT_BITS - 1))
        rounded = round_to(weight, step)
        rows = rounded.reshape(-1, weight.shape[-1])
        upper = np.tile(upper, len(rows) // len(upper))  # the same at each place of a map
        most, least = upper @ np.maximum(rows, 0), upper @ np.maximum(-rows, 0)
        bound = float((np.maximum(most, least) + np.abs(bias)).max())
        input_step = 1.0
        if scaled_weights:
            input_step = exact_step(bound) / step
            scaled_weights[-1] /= input_step
            scaled_biases[-1] /= input_step
        scaled_weights.append(rounded * input_step)
        scaled_biases.append(round_to(bias, input_step * step))
        upper = np.maximum(most + scaled_biases[-1], 0)
        coarse = _step(upper, UPPER_BITS)
        upper = np.ceil(upper / coarse) * coarse
    return scaled_weights, scaled_biases


def _step(values: np.ndarray, bits: int) -> float:
    """Return the power of two in which the largest size is a number of so many bits."""
    return math.ldexp(1.0, math.frexp(float(np.abs(values).max()))[1] - bits)


def _activate(values: np.ndarray) -> np.ndarray:
    """Apply ReLU, and round down to whole numbers, in place."""
    return np.maximum(np.floor(values, out=values), 0, out=values)


def _pooled_kernel(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel of `convolve_and_pool`, for one of (side, side, n_maps, n_filters).

    Returns:
        (4, n_filters, n_maps, side + 1, side + 1): the kernel at each of the four places of
        a square, among zeros.
    """
    side, _, n_maps, n_filters = kernel.shape
    window = side + POOL - 1
    pooled = np.zeros((POOL, POOL, n_filters, n_maps, window, window))
    for y, x in np.ndindex(POOL, POOL):
        pooled[y, x, :, :, y : y + side, x : x + side] = kernel.transpose(3, 2, 0, 1)
    return pooled.reshape(-1, *pooled.shape[2:])


def convolve_and_pool(maps: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve, without padding and without flipping the kernel, then pool the maxima.

    One matrix product computes all four values of each square of two by two. The images
    are the last axis, so that each step of a copy is as long as there are images. An odd
    last row or column is dropped.

    Args:
        maps: (n_maps, height, width, n_samples) float64.
        kernel: (4, n_filters, n_maps, side + 1, side + 1), by `_pooled_kernel`.

    Returns:
        (n_filters, (height - side + 1) // 2, (width - side + 1) // 2, n_samples).
    """
    places, n_filters, *inputs = kernel.shape
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape[-2:], axis=(1, 2))
    columns = windows[:, ::POOL, ::POOL].transpose(0, 4, 5, 1, 2, 3)
    values = kernel.reshape(-1, math.prod(inputs)) @ columns.reshape(math.prod(inputs), -1)
    return values.reshape(places, n_filters, *columns.shape[3:]).max(axis=0)


def fit(data: TrainingSet, options: Options, training_log: TrainingLog) -> LeNet5:
    """Train the network, from a checkpoint if there is one.

    The result has the weights of the last epoch. Validation images are only measured.

    Args:
        data: The training images.
        options: The parameters.
        training_log: Log for cross-entropy and accuracy after each epoch.

    Raises:
        InputError: The batch size or the learning rate is too large, Keras cannot be
            imported, or there is too little memory.
    """
    training, validation = split(data.y, options.validation_split, options.seed)
    if options.batch_size > len(training):
        raise InputError(
            f"train.batch_size: {options.batch_size} are more than the {len(training)} "
            f"images to train on (of {len(data.y)}, less the validation_split)"
        )
    padded = pad(data.images)
    _require_memory(padded, options.batch_size)
    from tqdm import tqdm  # noqa: PLC0415 (slow to import)

    keras, tensorflow = import_keras()
    if not has_avx2():
        log.warning(
            "this processor (%s) has no AVX2: the weights and their hashes will differ "
            "from those of x86-64 with AVX2",
            platform.machine(),
        )
    shifts = all_shifts_view(padded, options.max_shift)
    network = build_network(keras, padded.shape[1:], len(data.classes), options.seed)
    optimizer = _build_optimizer(keras, network, options, len(training))
    train_epoch, measure = (
        _make_epoch_fn(keras, tensorflow, network, optimizer, options.batch_size, train=on)
        for on in (True, False)
    )
    state = [*network.trainable_variables, *optimizer.variables]
    checkpoint = Checkpoint(training_log.checkpoint_dir / "lenet5.npz", data, options)
    n_done = checkpoint.load(state, training_log)
    if n_done == 0:
        checkpoint.kernels = [state[0].numpy()]
    epochs = range(n_done, options.epochs)
    with tqdm(epochs, "epochs", options.epochs, initial=n_done, disable=None) as bar:
        for epoch in bar:
            rng = np.random.default_rng([options.seed, epoch])
            rows = rng.permutation(training)
            offsets = random_shifts(len(rows), options.max_shift, rng)
            measured = {
                "training": train_epoch(shifts[rows, *offsets][..., None], data.y[rows]),
                "validation": measure(padded[validation][..., None], data.y[validation]),
            }
            _record(training_log, epoch + 1, measured, options)
            log.info(
                "epoch %d of %d: cross-entropy %.4f, validation accuracy %.4f",
                *(epoch + 1, options.epochs),
                *(float(measured["training"][0]), float(measured["validation"][1])),
            )
            checkpoint.kernels.append(state[0].numpy())
            bar.set_postfix_str(f"validation {float(measured['validation'][1]):.4f}")
            checkpoint.save(state, training_log, epoch + 1)
    checkpoint.remove()
    names = [f.name for f in dataclasses.fields(LeNet5) if f.type is np.ndarray]
    names = [name for name in names if name not in ("classes", "kernels")]
    weights = dict(zip(names, network.get_weights(), strict=True))
    height, width = data.images.shape[1:]
    return LeNet5(
        classes=data.classes,
        decision=Softmax(),
        height=height,
        width=width,
        kernels=np.stack(checkpoint.kernels),
        **weights,
    )


def _require_memory(padded: np.ndarray, batch_size: int) -> None:
    # TensorFlow holds the images, and their shifted copies in the order of an epoch. The
    # largest arrays of a batch are the maps of the first layer and their gradients.
    batch = 100 * batch_size * padded[0].size
    n_bytes = 420 * MIB + 6 * padded.nbytes + batch
    requested = f"Keras on TensorFlow, with train.batch_size: {batch_size}"
    memory.require(requested, n_bytes, libraries=1000 * MIB)


def _record(
    training_log: TrainingLog,
    epoch: int,
    measured: dict[str, tuple[Any, Any]],
    options: Options,
) -> None:
    """Record the loss and the accuracy of each split.

    Raises:
        InputError: One of them is not finite.
    """
    if not np.isfinite([*measured["training"], *measured["validation"]]).all():
        raise InputError(
            f"train.learning_rate: with {options.learning_rate:g}, and a "
            f"weight_decay of {options.weight_decay:g}, the training diverges in "
            f"epoch {epoch}; set a lower one"
        )
    for split_name, (loss, accuracy) in measured.items():
        training_log.record(epoch, "cross-entropy", float(loss), split_name)
        training_log.record(epoch, "accuracy", float(accuracy), split_name)


def split(y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the training images into those to train on and those for validation.

    Args:
        y: (n_samples,) class indices.
        share: Share of the images for validation, the same in each class.
        seed: Seed of the random choice.

    Returns:
        training: (n_training,) row indices, ascending.
        validation: (n_validation,) row indices; at least one.
    """
    n = len(y)
    order = np.random.default_rng(seed).permutation(n)
    order = order[np.argsort(y[order], kind="stable")]
    n_validation = min(max(1, round(share * n)), n - 1)
    every = (np.arange(n_validation) + 0.5) * n / n_validation
    validation = order[every.astype(np.intp)]
    return np.setdiff1d(np.arange(n), validation), validation


def all_shifts_view(images: np.ndarray, max_shift: int) -> np.ndarray:
    """Return a view of the images in all their shifts.

    Args:
        images: (n_samples, height, width) uint8.
        max_shift: Largest shift in pixels, in each direction.

    Returns:
        (n_samples, 2 max_shift + 1, 2 max_shift + 1, height, width) uint8:
        `[i, max_shift - down, max_shift - right]` is image i, shifted by `down` and
        `right` pixels.
    """
    margin = (max_shift, max_shift)
    wide = np.pad(images, ((0, 0), margin, margin))
    return np.lib.stride_tricks.sliding_window_view(wide, images.shape[1:], axis=(1, 2))


def random_shifts(n: int, max_shift: int, rng: np.random.Generator) -> np.ndarray:
    """Return (2, n) random indices of shifts in `all_shifts_view`, 0 to 2 max_shift."""
    return rng.integers(0, 2 * max_shift, (2, n), endpoint=True)


def build_network(keras: Any, shape: tuple[int, ...], n_classes: int, seed: int) -> Any:
    """Return an untrained Keras model.

    Args:
        keras: The module.
        shape: Height and width of the padded images.
        n_classes: The number of outputs.
        seed: Seed of the initial weights.
    """
    layers = keras.layers
    seeds = iter(np.random.SeedSequence(seed).generate_state(5).tolist())

    def initialised(**other: Any) -> dict[str, Any]:
        return {"kernel_initializer": keras.initializers.HeUniform(next(seeds)), **other}

    return keras.Sequential(
        [
            layers.Input((*shape, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(CONV_FILTERS[0], KERNEL, **initialised(activation="relu")),
            layers.MaxPooling2D(),
            layers.Conv2D(CONV_FILTERS[1], KERNEL, **initialised(activation="relu")),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(DENSE_UNITS[0], **initialised(activation="relu")),
            layers.Dense(DENSE_UNITS[1], **initialised(activation="relu")),
            layers.Dense(n_classes, **initialised()),
        ]
    )


def _build_optimizer(keras: Any, network: Any, options: Options, n_training: int) -> Any:
    n_steps = options.epochs * -(-n_training // options.batch_size)
    warm_up = int(WARM_UP * n_steps)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, n_steps - warm_up, warmup_target=options.learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=options.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(network.trainable_variables)
    return optimizer


def _make_epoch_fn(
    keras: Any,
    tensorflow: Any,
    network: Any,
    optimizer: Any,
    batch_size: int,
    *,
    train: bool,
) -> Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]:
    """Return a function that processes all images once, in batches.

    The function takes images, (n, height, width, 1) uint8, and class indices, (n,). It
    returns the mean loss and the accuracy. The whole epoch is one compiled TensorFlow
    graph: `network.fit` takes up to twice as long.

    Args:
        keras: The module.
        tensorflow: The module.
        network: The model.
        optimizer: The optimiser of its weights.
        batch_size: Images per step.
        train: Whether to change the weights after each batch.
    """
    ops = keras.ops
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def run_epoch(images: Any, y: Any) -> tuple[Any, Any]:
        n_samples = ops.shape(images)[0]

        def step(i: Any, sums: tuple[Any, Any]) -> tuple[Any, Any]:
            rows = slice(i * batch_size, (i + 1) * batch_size)
            labels = y[rows]
            with tensorflow.GradientTape() as tape:
                logits = network(images[rows], training=train)
                loss = loss_fn(labels, logits)
                mean = loss / ops.cast(ops.shape(labels)[0], "float32")
            if train:
                weights = network.trainable_variables
                optimizer.apply(tape.gradient(mean, weights), weights)
            correct = ops.sum(ops.cast(ops.argmax(logits, axis=1) == labels, "float32"))
            return sums[0] + loss, sums[1] + correct

        n_steps = -(-n_samples // batch_size)
        loss, correct = ops.fori_loop(0, n_steps, step, (ops.zeros(()), ops.zeros(())))
        n = ops.cast(n_samples, "float32")
        return loss / n, correct / n

    compiled = tensorflow.function(run_epoch, autograph=False)
    return lambda images, y: compiled(
        tensorflow.constant(images), tensorflow.constant(y, "int32")
    )


def import_keras() -> tuple[Any, Any]:
    """Import Keras on TensorFlow: quietly, without the user's settings, deterministic.

    The order of a sum depends on the number of threads and on the instructions. Both are
    fixed, so that the weights are the same on every x86-64 processor with AVX2.

    Returns:
        keras: The module.
        tensorflow: The module.

    Raises:
        InputError: One of them cannot be imported.
    """
    for name in os.environ:
        if name.startswith(SETTINGS):
            del os.environ[name]
    os.environ.update(PINNED)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = os.devnull  # read no settings, write no file
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        with _silence():
            import keras  # noqa: PLC0415 (takes seconds; only training needs it)
            import tensorflow  # noqa: PLC0415, ICN001 (as above; its full name)
    except ImportError as error:
        raise InputError(
            "lenet5 is trained with Keras on TensorFlow, which cannot be imported "
            f"({error}). TensorFlow is available for Python 3.11 to 3.13, on Linux and on "
            "macOS on ARM"
        ) from error
    tensorflow.config.set_visible_devices([], "GPU")  # a build may have CUDA
    tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    tensorflow.config.experimental.enable_op_determinism()
    return keras, tensorflow


@contextmanager
def _silence() -> Iterator[None]:
    """Discard stderr: TensorFlow logs on import, at any log level."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def has_avx2() -> bool:
    """Return whether this is an x86-64 processor with AVX2, also if it is emulated."""
    return not AVX2.isdisjoint(np.show_config("dicts")["SIMD Extensions"].get("found", ()))


def arithmetic() -> tuple[Any, ...]:
    """Return all that determines the last bits of a step: libraries and processor.

    All processors with AVX2 count as one. On others oneDNN chooses its code by their
    features and the sizes of their caches, which the processor's model determines.
    """
    import keras  # noqa: PLC0415 (`fit` has imported both)
    import tensorflow  # noqa: PLC0415, ICN001 (as above)

    processor: Any = "AVX2"
    if not has_avx2():
        cpuinfo = Path("/proc/cpuinfo")
        lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
        found = sorted({line for line in lines if line.startswith(CPU_PROPERTIES)})
        processor = platform.processor(), found
    return (
        *(library.__version__ for library in (keras, np, tensorflow)),
        processor,
        platform.libc_ver(),
        os.environ.get("GLIBC_TUNABLES"),  # may exclude instructions from exp and log
    )


OTHER = "other data, parameters, code, libraries or settings, or of another processor"


class Checkpoint:
    """The state of a training after an epoch: weights, optimiser and training log.

    It is used only for the same images, labels, options, code, libraries and processor.

    Attributes:
        kernels: The kernels of the first layer before the training, and after each epoch.
    """

    def __init__(self, path: Path, data: TrainingSet, options: Options) -> None:
        self.path, self.kernels = path, list[np.ndarray]()
        sha256 = hashlib.sha256(Path(__file__).read_bytes())
        sha256.update(f"{options!r} {data.images.shape} {arithmetic()}".encode())
        sha256.update(np.ascontiguousarray(data.images).data)
        sha256.update(np.ascontiguousarray(data.y).data)
        self.key = sha256.hexdigest()

    def save(self, state: list[Any], training_log: TrainingLog, epoch: int) -> None:
        """Write the state after an epoch, in place of an earlier one.

        Args:
            state: The variables of the network and the optimiser.
            training_log: The log whose rows are saved.
            epoch: The number of completed epochs.
        """
        rows = np.array(training_log.rows, dtype="U32")
        values = {f"v{i}": v.numpy() for i, v in enumerate(state)}
        values["kernels"] = np.array(self.kernels)
        done = np.array(epoch)
        files.write_npz(self.path, key=self.key, epoch=done, rows=rows, **values)

    def load(self, state: list[Any], training_log: TrainingLog) -> int:
        """Restore the state.

        Args:
            state: The variables, which are assigned.
            training_log: The log whose rows are replaced.

        Returns:
            The number of completed epochs; 0 if there is no checkpoint of this training.
        """
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
                rows, kernels = file["rows"].tolist(), [*file["kernels"]]
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            log.warning("%s cannot be read (%s): starting again", self.path, error)
            return 0
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)
        self.kernels = kernels
        training_log.rows[:] = [
            (int(step), measure, split_name, float(value))
            for step, measure, split_name, value in rows
        ]
        log.info("resuming after epoch %d", epoch)
        return epoch

    def remove(self) -> None:
        """Delete the checkpoint, and its folder if it is empty."""
        self.path.unlink()
        with suppress(OSError):  # not empty: another process writes there
            self.path.parent.rmdir()
