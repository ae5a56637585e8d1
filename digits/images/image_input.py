"""Image files from a camera, a scanner or a screen, as input of a model.

Ink is what differs in colour from the background, and the background is what is along
the image's border. So dark on light, light on dark and red on green are all the same, and
uneven light is not ink.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from digits.errors import InputError
from digits.images.doubts import doubts
from digits.images.in_memory import Picture
from digits.images.mnist_format import (
    INK,
    fit_to_frame,
    is_mnist_format,
    remove_lines,
    to_mnist_format,
)

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
)
# The brands of HEIC, after the length of the first box. Source: ISO/IEC 23008-12, annex B.
HEIC = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftyphevx", b"ftypmif1", b"ftypmsf1")

# A larger image is first reduced by averaging; its digit may be a tenth of it.
MAX_SIDE = 640  # pixels
# The background is evenly lit if half of the border differs by no more from its median.
MAX_UNEVENNESS = 12  # grey values
# What differs from the background by less is not ink, or is noise of the background.
MIN_CONTRAST = 20  # grey values
MIN_SIGNAL_TO_NOISE = 5  # times the noise's standard deviation
# Noise is smoothed with this share of the longer side as standard deviation.
SMOOTHING = 1 / 256
# So many pixels lie between a frame and what it surrounds, at most.
EDGE = 3
# A separate stroke with less than this share of the largest one's ink is a speck.
MIN_STROKE = 0.05
# The weights of red, green and blue in a grey value, in thousandths: whole numbers, so that
# sums of bytes are exact. Source: ITU-R BT.601.
LUMA = np.array([299.0, 587.0, 114.0])


class Seen(NamedTuple):
    """An image as input of a model.

    Attributes:
        pixels: (height, width) uint8, grey values from 0 to 255.
        doubts: Why it may not be one digit, each as a clause.
    """

    pixels: np.ndarray
    doubts: tuple[str, ...] = ()


def load(
    path: Path, shape: tuple[int, int], *, mnist_like: bool, invert: bool = False
) -> Seen:
    """Read an image file as input of a model: light on dark, of the data's size.

    Args:
        path: The image file.
        shape: Height and width of the data's images, in pixels.
        mnist_like: True for digits as in MNIST: the digit is found, separated from its
            background and brought to MNIST's format; an image that already has the format,
            or whose negative has it, is used unchanged. False for other data: the grey
            values are scaled to the data's size.
        invert: Whether the grey values of other data are inverted.

    Returns:
        The image; of digits as in MNIST, with doubts.

    Raises:
        InputError: If the file is not an image or is damaged, or the image is empty.
    """
    colours, share = read_rgb(path), 1.0
    if mnist_like:
        found, share = _find_digit(colours, to_grey(colours), shape)
    else:
        found = framed(colours, shape, mnist_like=False, invert=invert)
    if found is None:
        raise InputError(f"{path}: the image is empty, or its ink is too faint")
    return Seen(found, doubts(found, share) if mnist_like else ())


def framed(
    colours: np.ndarray, shape: tuple[int, int], *, mnist_like: bool, invert: bool = False
) -> np.ndarray | None:
    """Return an image as input of a model, `shape` uint8; None if it is empty.

    Args:
        colours: (height, width, 3), or (height, width, 1) of grey values, float64 from 0
            to 255.
        shape: As of `load`.
        mnist_like: As of `load`. If False, the aspect ratio is kept, and what is left free
            of the frame has the median colour of the image's border.
        invert: As of `load`.
    """
    grey = to_grey(colours)
    if mnist_like:
        return _find_digit(colours, grey, shape)[0]
    if invert:
        grey = ~grey
    return fit_to_frame(grey, shape, np.median(grey[border(*grey.shape)]))


def _find_digit(
    colours: np.ndarray, grey: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray | None, float]:
    """Return the digit of an image in MNIST's format, and its share of the image's side.

    Args:
        colours: (height, width, 3) from 0 to 255.
        grey: (height, width) uint8, their grey values.
        shape: Height and width of the result.

    Returns:
        `shape` uint8, or None if there is no ink; and the digit's longer side as a share of
        the image's.
    """
    for image in (grey, 255 - grey):
        if is_mnist_format(image, shape):
            return image, 1.0
    ink = find_ink(colours)
    if is_mnist_format(ink, shape):
        return ink, 1.0
    digit = to_mnist_format(ink, shape)
    if digit is None:
        return None, 0.0
    return digit, max(np.ptp(at) + 1 for at in np.nonzero(ink > INK * ink.max())) / max(
        ink.shape
    )


def to_grey(colours: np.ndarray) -> np.ndarray:
    """Return the grey values, (…) uint8, of colours (…, 3), or of grey values (…, 1)."""
    if colours.shape[-1] == 1:
        return np.rint(colours[..., 0]).astype(np.uint8)
    return np.rint(colours @ LUMA / 1000).astype(np.uint8)


def read_rgb(path: Path | Picture) -> np.ndarray:
    """Read an image's colours, (height, width, 3) float64 from 0 to 255.

    The image is turned as its EXIF data says and reduced to at most `MAX_SIDE` pixels a
    side. Transparent pixels get the colour of the background.

    Raises:
        InputError: If the file is not an image, is damaged or too large.
    """
    with _opened(path) as picture:
        if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
            raise InputError(
                f"{path}: has grey values of 32 bits; save it with 8 or 16 bits"
            )
        picture.draft("RGB", (MAX_SIDE, MAX_SIDE))  # reads a large JPEG at a reduced size
        image = _as_bytes(ImageOps.exif_transpose(picture))
    colours = np.asarray(image.reduce(-(-max(image.size) // MAX_SIDE)), np.float64)
    if image.mode == "RGB":
        return colours
    return _on_background(colours[..., :3], colours[..., 3] / 255)


def image_size(path: Path | Picture) -> tuple[int, int]:
    """Read an image's height and width in pixels, turned as its EXIF data says.

    Only the file's header is read.

    Raises:
        InputError: As `read_rgb` does.
    """
    with _opened(path) as picture:
        sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) > 4  # noqa: PLR2004 (5 to 8)
        return picture.size if sideways else (picture.height, picture.width)


@contextmanager
def _opened(path: Path | Picture) -> Iterator[Image.Image]:
    """Open an image file; Pillow's errors in the block become an `InputError`."""
    if (
        isinstance(path, Path) and path.exists() and not path.is_file()
    ):  # opening a FIFO would wait for its writer
        raise InputError(f"{path}: is not a file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about details of what Pillow can read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = BytesIO(path.content) if isinstance(path, Picture) else path
            with Image.open(file, formats=FORMATS) as picture:
                yield picture
    except UnidentifiedImageError as error:
        if _start(path)[4:] in HEIC:
            raise InputError(
                f"{path}: is in the format HEIC, which cannot be read; save it as JPEG "
                "or PNG"
            ) from error
        raise InputError(f"{path}: is not an image ({', '.join(FORMATS)})") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise InputError(f"{path}: is larger than {most} pixels") from error
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{path}: {error.strerror}") from error
    # What Pillow raises on a damaged file depends on where the damage is.
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error) as e:
        raise InputError(f"{path}: is damaged ({e})") from e
    except MemoryError as error:  # a chunk that says it is gigabytes long
        raise InputError(f"{path}: is damaged, or needs too much memory") from error


def _start(path: Path | Picture) -> bytes:
    """Return the first 12 bytes of an image file."""
    if isinstance(path, Picture):
        return path.content[:12]
    with path.open("rb") as file:
        return file.read(12)


def _as_bytes(image: Image.Image) -> Image.Image:
    """Return an image as RGB, or as RGBa (colours times alpha) if it has transparency."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        return image.convert("RGBA").convert("RGBa")
    return image.convert("RGB")


def _on_background(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return the colours of a transparent image, put on an opaque background.

    The background has the border's colour. If most of the border is transparent, it is
    white, or black if all that is visible is light.

    Args:
        colours: (height, width, 3) from 0 to 255, times alpha.
        alpha: (height, width) from 0 to 1.

    Returns:
        (height, width, 3) float64 from 0 to 255.
    """
    visible = alpha > 0.5  # noqa: PLR2004 (a half)
    along = border(*alpha.shape)
    if visible[along].mean() > 0.5:  # noqa: PLR2004 (a half)
        background = np.median(colours[along & visible], axis=0)
    else:
        light = np.percentile(colours[visible] @ LUMA / 1000, 5) if visible.any() else 0
        background = np.full(3, 0 if light > 127 else 255)  # noqa: PLR2004 (half of 255)
    return colours + (1 - alpha[..., None]) * background


def border(height: int, width: int) -> np.ndarray:
    """Return the mask, (height, width) bool, of the outermost fortieth of an image."""
    wide = max(1, min(height, width) // 40)
    mask = np.ones((height, width), bool)
    mask[wide:-wide, wide:-wide] = False
    return mask


def find_ink(colours: np.ndarray) -> np.ndarray:
    """Return how much ink is in each pixel, (height, width) uint8; 0 on the background.

    Args:
        colours: (height, width, 3) from 0 to 255.
    """
    from scipy import ndimage  # noqa: PLC0415 (slow to import)

    colours = _without_frame(colours)
    smooth = max(colours.shape[:2]) * SMOOTHING
    colours = ndimage.gaussian_filter(colours, (smooth, smooth, 0), mode="nearest")
    difference = np.abs(colours - _background(colours)).max(axis=2)
    at_border = difference[border(*difference.shape)]
    noise = 1.4826 * np.median(at_border)  # the standard deviation of normal noise
    strong = difference[difference > difference.max() / 2]
    full = np.percentile(strong, 90) if len(strong) else 0
    if full < max(MIN_CONTRAST, MIN_SIGNAL_TO_NOISE * noise):
        return np.zeros(difference.shape, np.uint8)
    none = min(2.5 * np.percentile(at_border, 75), 0.3 * full)
    ink = np.clip((difference - none) / (full - none), 0, 1)
    ink = remove_lines(ink)  # before the strokes are compared with them
    strokes, n_strokes = ndimage.label(ink > INK, np.ones((3, 3)))
    masses = ndimage.sum_labels(ink, strokes, np.arange(n_strokes + 1))
    masses[0] = np.inf  # around the strokes: their faint edges are kept
    keep = masses >= MIN_STROKE * masses[1:].max()
    return np.rint(255 * ink * keep[strokes]).astype(np.uint8)


def _without_frame(colours: np.ndarray) -> np.ndarray:
    """Return an image without a frame along its border, if it has one on all four sides.

    On each side, the rows along the border then have the frame's colour, and within a few
    rows another one begins; uneven light changes more slowly.

    Args:
        colours: (height, width, 3) from 0 to 255.
    """
    whole = colours
    for _ in range(4):  # the upper side; then turn
        high = whole.shape[0] // 6
        rows = np.median(whole[:high], axis=1)
        if not high:
            return colours
        inner = np.median(rows[high // 2 :], axis=0)
        frame = np.abs(rows - inner).max(axis=1)  # by how much the rows differ
        if frame[0] < MIN_CONTRAST:
            return colours
        edge = int(np.argmax(frame < frame[0] / 2))
        around = frame[max(edge - EDGE, 0)], frame[min(edge + EDGE, high - 1)]
        if around[0] < 3 / 4 * frame[0] or around[1] > frame[0] / 4:
            return colours
        whole = np.rot90(whole[edge + EDGE :])
    return whole


def _background(colours: np.ndarray) -> np.ndarray:
    """Return the background's colour, (3,), or that in each pixel, (height, width, 3).

    It is known along the border, which is mostly background. If the border does not have
    one colour, the light is uneven: a quadratic surface, fitted to the border's colours by
    least absolute deviations, extends it to the other pixels.

    Args:
        colours: (height, width, 3) from 0 to 255.
    """
    height, width = colours.shape[:2]
    along = border(height, width)
    known = colours[along]
    background = np.median(known, axis=0)
    residuals = np.abs(known - background).max(axis=1)
    if np.median(residuals) <= MAX_UNEVENNESS:
        return background
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    for _ in range(20):
        weights = 1 / np.sqrt(np.maximum(residuals, 1))[:, None]
        surface = np.linalg.lstsq(terms[along] * weights, known * weights)[0]
        residuals = np.abs(known - terms[along] @ surface).max(axis=1)
    return terms @ surface
