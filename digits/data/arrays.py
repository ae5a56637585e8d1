"""Arrays as other programs write them, brought to the form of `Dataset`.

Grey values become whole numbers from 0 to 255, labels whole numbers, in one way for both
splits. Whatever is more than a change of the type or of the axes is said in the log.
"""

import logging
import math
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from digits.data import dataset, large
from digits.data.dataset import MAX_CLASSES, Dataset, class_name
from digits.data.options import KEEP, Options
from digits.errors import InputError

log = logging.getLogger(__name__)

WHITE = 255  # grey value
WHITE_16 = 65535  # grey value, of 16 bits
DARK = 128  # below it, not even half of the grey values are used
VISIBLE = 4  # grey values between the darkest and the brightest pixel of an image
N_COLOURS = 3
ROUNDING = 1e-3  # grey values, of float32
NUMBERS = {str(label): label for label in range(MAX_CLASSES)}


def to_dataset(
    arrays: dict[str, np.ndarray],
    origin: object,
    names: Sequence[str] | None = None,
    options: Options = KEEP,
) -> Dataset:
    """Convert arrays to a data set.

    Args:
        arrays: `x_train`, `y_train`, `x_test` and `y_test`, or only the first two. Images:
            (n_samples, height, width), with an axis of 1 or of 3 colours first or last, or
            (n_samples, pixels) of square images; integers from 0 to 255, uint16, bool, or
            floats from 0 to 1 or from 0 to 255. Labels: (n_samples,), with an axis of 1,
            or one-hot; numbers or texts.
        origin: Where they are from, for the error.
        names: The names of the classes, in the order of their labels; None if the labels
            are the names.
        options: How to change the images; without test images, how to draw them.

    Raises:
        InputError: If an array is missing or cannot be converted, or as
            `dataset.from_arrays` does.
    """
    splits = _splits(arrays, origin, is_whole=options.holdout is not None)
    images = _as_grey({s: arrays[f"x_{s}"] for s in splits}, origin)
    if options.changes_images:
        images = {s: _prepare(a, options, f"{origin}: x_{s}") for s, a in images.items()}
    given = {s: _as_vector(arrays[f"y_{s}"], len(images[s]), origin, s) for s in splits}
    if any(labels.dtype.kind in "US" for labels in given.values()):
        if names is not None:
            raise InputError(
                f"{origin}: the labels are texts, and there are names of the classes as "
                "well; remove the names"
            )
        labels, names = _number(given, origin)
    else:
        labels = {s: _as_integers(given[s], f"{origin}: y_{s}") for s in splits}
        if names is not None:
            labels = _from_zero(labels, len(names), origin)
    found = {f"x_{s}": images[s] for s in splits} | {f"y_{s}": labels[s] for s in splits}
    if options.holdout:
        # checked before: from_arrays wants both splits
        twice = found | {"x_test": found["x_train"], "y_test": found["y_train"]}
        whole = dataset.from_arrays(twice, origin, names)
        return Dataset(*options.holdout.divide(whole.train, origin), whole.names)
    return dataset.from_arrays(found, origin, names)


def to_images(images: np.ndarray, origin: object, options: Options = KEEP) -> np.ndarray:
    """Convert images without labels as `to_dataset` does.

    Args:
        images: As those of `to_dataset`.
        origin: Where they are from, for the error.
        options: How to change them.

    Returns:
        (n_samples, height, width) uint8.

    Raises:
        InputError: If they cannot be converted.
    """
    grey = _as_grey({"test": images}, origin)["test"]
    if options.changes_images:
        return _prepare(grey, options, f"{origin}: x_test")
    return dataset.as_bytes(grey, 3, WHITE, f"{origin}: x_test")


def _splits(
    arrays: dict[str, np.ndarray], origin: object, *, is_whole: bool
) -> tuple[str, ...]:
    """Return the splits that the arrays have, only `train` if they are to be divided.

    Raises:
        InputError: If one is missing, or there is one too many.
    """
    has_test = "x_test" in arrays or "y_test" in arrays
    if has_test and is_whole:
        raise InputError(
            f"{origin}: has test images, so remove dataset.test_share from params.yaml"
        )
    splits = ("train",) if is_whole else ("train", "test")
    missing = [f"{k}_{s}" for s in splits for k in "xy" if f"{k}_{s}" not in arrays]
    if missing == ["x_test", "y_test"]:
        raise InputError(
            f"{origin}: has no test images; set dataset.test_share in params.yaml, such as "
            "to 0.2, to draw them from the training images"
        )
    if missing:
        raise InputError(f"{origin}: has no array {', '.join(missing)}")
    return splits


def _prepare(images: np.ndarray, options: Options, where: str) -> np.ndarray:
    """Return images changed by the options, (n_samples, height, width) uint8."""
    try:
        prepared, n = options.prepare(dataset.as_bytes(images, 3, WHITE, where))
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    shape = " by ".join(map(str, prepared.shape[1:]))
    if options.centre:
        log.info("%s: %d of %d images are changed to be centred", where, n, len(images))
    elif n:
        log.info("%s: all images are brought to %s pixels", where, shape)
    return prepared


def warn_if_dark(images: np.ndarray, origin: object) -> None:
    """Warn if the training images use less than half of the grey values."""
    if (highest := int(images.max(initial=0))) < DARK:
        log.warning(
            "warning: %s: the training images have grey values only up to %d of 255, so "
            "they are dark%s",
            origin,
            highest,
            f"; to change that, multiply them by {255 / highest:.4g} and save them again"
            if highest
            else "",
        )


def warn_if_blank(data: Dataset, origin: object) -> None:
    """Warn if no training image of a class shows anything: all are of one grey value."""
    flat = data.train.images.reshape(len(data.train.images), -1)
    if flat.shape[1] == 1:
        return
    is_blank = flat.max(axis=1) - flat.min(axis=1) < VISIBLE
    if not is_blank.any():
        return
    for label in dataset.labels_in(data.train.labels):
        of_class = is_blank[data.train.labels == label]
        if of_class.all():
            log.warning(
                "warning: %s: all training images of the class %s (%d) are blank: each has "
                "only one grey value, or nearly so",
                origin,
                data.names[label],
                len(of_class),
            )


def _as_grey(images: dict[str, np.ndarray], origin: object) -> dict[str, np.ndarray]:
    """Return the images of each split, (n_samples, height, width) integers.

    Args:
        images: The images of each split.
        origin: Where they are from, for the error.
    """
    shaped = {s: _with_axes(a, f"{origin}: x_{s}") for s, a in images.items()}
    whites = {s: _white(a, f"{origin}: x_{s}") for s, a in shaped.items()}
    white = _common_white(shaped, whites, origin)
    grey = {}
    for split, array in shaped.items():
        where = f"{origin}: x_{split}"
        scaled = _as_bytes(array, white, where)
        grey[split] = _without_colours(scaled) if scaled.ndim == 4 else scaled  # noqa: PLR2004
        if grey[split] is not scaled:
            log.info("%s: colours are converted to grey", where)
    return grey


def _with_axes(images: np.ndarray, where: str) -> np.ndarray:
    """Return images as (n_samples, height, width), or (…, 3) if they have colours."""
    if images.ndim == 4:  # noqa: PLR2004
        for axis in (3, 1, 0):
            if images.shape[axis] == 1:
                return images.squeeze(axis)
        if images.shape[3] == N_COLOURS:
            return images
        if images.shape[1] == N_COLOURS:
            return images.transpose(0, 2, 3, 1)
    if images.ndim == 2 and images.size:  # noqa: PLR2004
        side = math.isqrt(images.shape[1])
        if side**2 != images.shape[1]:
            raise InputError(
                f"{where} has rows of {images.shape[1]} pixels, which is no square number; "
                "save it with the shape (images, height, width)"
            )
        return images.reshape(len(images), side, side)
    if images.ndim != 3 or images.size == 0:  # noqa: PLR2004
        raise InputError(
            f"{where} must have the shape (images, height, width), (images, pixels) or "
            f"(images, height, width, colours), none empty, got {images.shape}"
        )
    return images


def _white(images: np.ndarray, where: str) -> int | None:
    """Return the value that stands for white, or None if any may: all are 0.

    Raises:
        InputError: If the values are no grey values.
    """
    if images.dtype.kind not in "buif":
        raise InputError(f"{where} must hold numbers, got {images.dtype}")
    low, high = images.min(), images.max()
    if images.dtype.kind == "b":
        return 1
    if images.dtype.kind in "ui":
        return WHITE_16 if images.dtype == np.uint16 and high > WHITE else WHITE
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{where} has values that are not finite")
    if low < 0 or high > WHITE:
        raise InputError(
            f"{where} must hold grey values from 0 to 1 or from 0 to 255, got {low:g} to "
            f"{high:g}; save the images as they were before they were standardised"
        )
    return (1 if high <= 1 else WHITE) if high else None


def _common_white(
    images: dict[str, np.ndarray], whites: dict[str, int | None], origin: object
) -> int:
    """Return what stands for white in all splits. Raises `InputError` if they differ."""
    found = {white for white in whites.values() if white is not None} or {WHITE}
    if found == {WHITE, WHITE_16} and {a.dtype for a in images.values()} == {
        np.dtype(np.uint16)
    }:
        return WHITE_16
    if len(found) > 1:
        raise InputError(
            f"{origin}: x_train has values from 0 to {whites['train']}, x_test from 0 to "
            f"{whites['test']}; save both in the same type and range"
        )
    return found.pop()


def _as_bytes(images: np.ndarray, white: int, where: str) -> np.ndarray:
    """Return images with white as 255; whole numbers as they are.

    Args:
        images: (n_samples, …) of any type.
        white: The value that stands for white.
        where: What to call them in the log and the error.
    """
    is_whole = images.dtype.kind in "ui"
    if is_whole and white == WHITE:
        return images
    rounded = False

    def scaled() -> Iterator[np.ndarray]:
        nonlocal rounded
        for rows in large.slices(len(images)):
            if is_whole:
                yield images[rows] // (WHITE_16 // WHITE)
                continue
            values = np.multiply(images[rows], WHITE / white, dtype=np.float64)
            whole = np.rint(values)
            rounded |= bool((np.abs(values - whole) > ROUNDING).any())
            yield whole

    result = large.joined(scaled(), images.shape)
    if white != WHITE:
        log.info("%s: %s from 0 to %d, scaled to 0 to 255", where, images.dtype, white)
    if rounded:
        log.info("%s: grey values are rounded to whole numbers", where)
    return result


def _without_colours(images: np.ndarray) -> np.ndarray:
    """Return the grey values, (n_samples, height, width), of colours from 0 to 255."""
    from digits.images import image_input  # noqa: PLC0415 (imports Pillow)

    grey = (image_input.to_grey(images[rows]) for rows in large.slices(len(images)))
    return large.joined(grey, images.shape[:3])


def _as_vector(labels: np.ndarray, n: int, origin: object, split: str) -> np.ndarray:
    """Return labels as (n,); one-hot ones as numbers.

    Args:
        labels: (n,), with other axes of 1, or (n, n_classes) of 0 and 1.
        n: The number of images.
        origin: Where they are from, for the error.
        split: Whose labels they are.

    Raises:
        InputError: If they have another shape.
    """
    if labels.size == n:
        return labels.reshape(n)
    if labels.ndim == 2 and len(labels) == n and labels.dtype.kind in "biuf":  # noqa: PLR2004
        if np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
            return labels.argmax(axis=1)
        raise InputError(
            f"{origin}: y_{split} has {labels.shape[1]} values for each image, but is not "
            "one-hot: one 1, otherwise 0"
        )
    raise InputError(
        f"{origin}: x_{split} has {n} images, but y_{split} has "
        f"{labels.size if labels.ndim < 2 else labels.shape} labels"  # noqa: PLR2004
    )


def _as_integers(labels: np.ndarray, where: str) -> np.ndarray:
    """Return labels as integers. Raises `InputError` if they are not whole numbers."""
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f":
        wrong = labels[~np.isfinite(labels) | (np.rint(labels) != labels)]
        if len(wrong):
            raise InputError(f"{where} must hold whole numbers or texts, got {wrong[0]:g}")
        return np.clip(labels, -1e9, 1e9).astype(np.int64)
    return labels


def to_texts(array: np.ndarray, where: str) -> list[str]:
    """Return the texts of an array.

    NumPy makes invalid texts of invalid code points, and Python raises a `SystemError`
    where they are used (https://github.com/numpy/numpy/pull/15385).

    Args:
        array: (n,) texts, or bytes in ASCII.
        where: What to call a text in the error.

    Raises:
        InputError: One is not ASCII, or not Unicode.
    """
    try:
        texts = array.astype(np.str_)
    except UnicodeError as error:
        raise InputError(f"{where} is not a text in ASCII: {error}") from error
    if texts.dtype.itemsize and texts.view(np.uint32).max(initial=0) > sys.maxunicode:
        raise InputError(f"{where} is not a text in Unicode")
    listed: list[str] = texts.tolist()
    return listed


def _number(
    given: dict[str, np.ndarray], origin: object
) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """Return the label of each text, and the names of the classes.

    As with folders of images: sorted, the texts have the labels 0, 1, 2, … If all are
    numbers from 0 to 99, the numbers are the labels.

    Args:
        given: (n_samples,) of each split, of which at least one is texts.
        origin: Where they are from, for the error.
    """
    texts = {s: to_texts(a, f"{origin}: a label") for s, a in given.items()}
    kept = {text: class_name(text) for listed in texts.values() for text in set(listed)}
    names = sorted(set(kept.values()))
    numbers = NUMBERS
    if not NUMBERS.keys() >= set(names):
        dataset.check_names(names, origin)
        numbers = {name: label for label, name in enumerate(names)}
    labels = {
        s: np.array([numbers[kept[text]] for text in listed], np.uint8)
        for s, listed in texts.items()
    }
    return labels, None if numbers is NUMBERS else tuple(names)


def _from_zero(
    labels: dict[str, np.ndarray], n_names: int, origin: object
) -> dict[str, np.ndarray]:
    """Return labels that begin at 0, if there are as many names and they begin at 1."""
    lowest = min(array.min(initial=MAX_CLASSES) for array in labels.values())
    highest = max(array.max(initial=0) for array in labels.values())
    if (lowest, highest) != (1, n_names):
        return labels
    log.info("%s: the labels begin at 1: label 1 has the first name", origin)
    return {s: array - 1 for s, array in labels.items()}
