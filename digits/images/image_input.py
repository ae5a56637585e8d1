"""Pictures of a digit, from a camera, a scanner or a screen: what a model sees of them.

A picture's ink is what differs in colour from its paper, and the paper is what lies along
its border. So dark on light, light on dark and red on green are all the same, and uneven
light is no ink.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from digits.errors import InputError
from digits.images.mnist_format import INK, is_normal, normal_form

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})

# A larger picture is made smaller first, by averaging; its digit may be a tenth of it.
SIDE = 640  # pixels
# Paper is evenly lit if half of its border differs by no more from its median.
EVEN = 12  # grey values
# What differs from the paper by less is none, or is paper as the noise makes it.
FAINTEST = 20  # grey values
NOISE = 5  # times the noise's standard deviation
# Noise is smoothed away over this share of the longer side.
BLUR = 256
# A separate stroke has at least this share of the largest one's ink, or is a speck.
SPECK = 0.05
# Of red, green and blue in a grey value. Source: ITU-R BT.601.
LUMA = np.array([0.299, 0.587, 0.114])


def see(path: Path, shape: tuple[int, int], *, centred: bool) -> np.ndarray:
    """Return a picture as the data's images are: `shape` uint8, light on dark.

    centred: True for digits as in MNIST, which are found, freed from their paper and
        framed; but a picture that is in that form already is taken as it stands, negative
        or not. False for any other data, to whose size the grey values are brought.

    Raises `InputError` if the file is no picture, or there is nothing on it.
    """
    colours = read(path)
    if not centred:
        framed = normal_form(grey(colours), shape, centred=False)
    else:
        for image in (grey(colours), 255 - grey(colours)):
            if is_normal(image, shape):
                return image
        image = find_ink(colours)
        framed = image if is_normal(image, shape) else normal_form(image, shape)
    if framed is None:
        raise InputError(f"{path}: there is nothing on it")
    return framed


def grey(colours: np.ndarray) -> np.ndarray:
    """Return the grey values, (height, width) uint8, of (height, width, 3) colours."""
    return np.rint(colours @ LUMA).astype(np.uint8)


def read(path: Path) -> np.ndarray:
    """Return a picture's colours, (height, width, 3) float64 from 0 to 255.

    It is turned as its EXIF data says, and no side is longer than `SIDE`. What is
    transparent has the colour of the paper. Raises `InputError` if it can't be read.
    """
    with _opened(path) as picture:
        picture.draft("RGB", (SIDE, SIDE))  # a large JPEG is read at half the size
        image = _as_bytes(ImageOps.exif_transpose(picture))
    colours = np.asarray(image.reduce(-(-max(image.size) // SIDE)), np.float64)
    if image.mode == "RGB":
        return colours
    return _on_paper(colours[..., :3], colours[..., 3] / 255)


def size(path: Path) -> tuple[int, int]:
    """Return a picture's height and width in pixels, as `read` turns it.

    Raises `InputError` as `read` does, but reads no more than the file's head.
    """
    with _opened(path) as picture:
        sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) > 4  # noqa: PLR2004 (5 to 8)
        return picture.size if sideways else (picture.height, picture.width)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; what goes wrong with it in the block is an `InputError`."""
    if path.exists() and not path.is_file():  # who opens a FIFO waits for its writer
        raise InputError(f"{path}: is no file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's doubts about what it reads anyway
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                yield picture
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is no picture ({', '.join(FORMATS)})") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise InputError(f"{path}: is larger than {most} pixels") from error
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{path}: {error.strerror}") from error
    # What Pillow raises on a damaged file depends on where the damage is.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(f"{path}: is damaged ({error})") from error


def _as_bytes(image: Image.Image) -> Image.Image:
    """Return an image as RGB, or as RGBa (colours times alpha) if it has transparency."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        return image.convert("RGBA").convert("RGBa")
    return image.convert("RGB")


def _on_paper(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay a picture on paper: its own, or white, or black if all of it is light.

    colours: (height, width, 3), times alpha; alpha: (height, width) from 0 to 1
    """
    visible = alpha > 0.5  # noqa: PLR2004 (a half)
    along = border(*alpha.shape)
    if visible[along].mean() > 0.5:  # noqa: PLR2004 (a half)
        paper = np.median(colours[along & visible], axis=0)
    else:
        light = np.percentile(colours[visible] @ LUMA, 5) if visible.any() else 0
        paper = np.full(3, 0 if light > 127 else 255)  # noqa: PLR2004 (half of 255)
    return colours + (1 - alpha[..., None]) * paper


def border(height: int, width: int) -> np.ndarray:
    """Return the mask, (height, width) bool, of the outermost fortieth of a picture."""
    wide = max(1, min(height, width) // 40)
    mask = np.ones((height, width), bool)
    mask[wide:-wide, wide:-wide] = False
    return mask


def find_ink(colours: np.ndarray) -> np.ndarray:
    """Return how much ink is in each pixel, (height, width) uint8; 0 on the paper.

    colours: (height, width, 3) from 0 to 255
    """
    smooth = max(colours.shape[:2]) / BLUR
    colours = ndimage.gaussian_filter(colours, (smooth, smooth, 0), mode="nearest")
    difference = np.abs(colours - _paper(colours)).max(axis=2)
    at_border = difference[border(*difference.shape)]
    noise = 1.4826 * np.median(at_border)  # a standard deviation, if it is normal
    strong = difference[difference > difference.max() / 2]
    full = np.percentile(strong, 90) if len(strong) else 0
    if full < max(FAINTEST, NOISE * noise):
        return np.zeros(difference.shape, np.uint8)
    none = min(2.5 * np.percentile(at_border, 75), 0.3 * full)
    ink = np.clip((difference - none) / (full - none), 0, 1)
    strokes, n_strokes = ndimage.label(ink > INK, np.ones((3, 3)))
    masses = ndimage.sum_labels(ink, strokes, np.arange(n_strokes + 1))
    masses[0] = np.inf  # what lies around the strokes is left, as the fringe of them
    keep = masses >= SPECK * masses[1:].max()
    return np.rint(255 * ink * keep[strokes]).astype(np.uint8)


def _paper(colours: np.ndarray) -> np.ndarray:
    """Return the paper's colour in each pixel, or the one colour of it, (…, 3).

    It is known along the border, where most of what is there is paper. If that is not
    of one colour, the light is uneven: a quadratic surface through the border's colours,
    by least absolute deviations, carries it over the rest.
    """
    height, width = colours.shape[:2]
    along = border(height, width)
    known = colours[along]
    paper = np.median(known, axis=0)
    residuals = np.abs(known - paper).max(axis=1)
    if np.median(residuals) <= EVEN:
        return paper
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    for _ in range(20):
        weights = 1 / np.sqrt(np.maximum(residuals, 1))[:, None]
        surface = np.linalg.lstsq(terms[along] * weights, known * weights)[0]
        residuals = np.abs(known - terms[along] @ surface).max(axis=1)
    return terms @ surface
