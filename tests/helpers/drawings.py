"""Digits drawn with a pen, as images of many kinds."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Each digit's strokes, in a square of 100 by 100.
STROKES = {
    0: [[(50, 8), (30, 20), (22, 50), (30, 80), (50, 92),
         (70, 80), (78, 50), (70, 20), (50, 8)]],
    1: [[(56, 8), (46, 92)]],
    3: [[(26, 18), (48, 8), (70, 20), (64, 40), (46, 48),
         (68, 56), (76, 76), (52, 92), (26, 82)]],
    4: [[(32, 8), (24, 52), (76, 50)], [(68, 20), (64, 92)]],
    7: [[(22, 14), (76, 12), (44, 92)]],
}  # fmt: skip


def digit(name, size=(500, 700), pen=0.09):
    """Return a digit of light ink on a dark ground, (height, width) float from 0 to 1."""
    width, height = size
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    side = 0.7 * min(size)
    left, top = (width - side) / 2, (height - side) / 2
    radius = pen * side / 2
    for stroke in STROKES[name]:
        points = [(left + x * side / 100, top + y * side / 100) for x, y in stroke]
        draw.line(points, fill=255, width=round(2 * radius), joint="curve")
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side / 100))) / 255


def enlarge(image, size=(500, 700)):
    """Return an image of the data set enlarged in the middle of a sheet, from 0 to 1."""
    side = min(size)
    square = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    large = Image.new("L", size)
    large.paste(square, ((size[0] - side) // 2, (size[1] - side) // 2))
    return np.asarray(large) / 255


def mix(ink, pen, paper):
    """Return an image of ink in the colour of a pen on the colour of a paper."""
    blend = ink[..., None] * np.array(pen) + (1 - ink[..., None]) * np.array(paper)
    return Image.fromarray(np.clip(blend, 0, 255).astype(np.uint8))


def ruled(ink, distance=0.12, pen=0.008, slant=0.02, strength=0.6):
    """Add the lines of ruled paper to ink, from border to border."""
    height, width = ink.shape
    y, x = np.mgrid[:height, :width]
    phase = (y + slant * x) / (distance * height) % 1
    thick = max(pen * height, 1) / (distance * height)
    return np.maximum(ink, strength * (phase < thick))


def checked(ink):
    """Add the lines of squared paper to ink."""
    return ruled(ruled(ink, pen=0.006).T, distance=0.16, pen=0.006, slant=0).T


def framed(ink, pen=0.02):
    """Add a frame along the border to ink."""
    wide = max(1, round(pen * min(ink.shape)))
    ink = ink.copy()
    ink[:wide] = ink[-wide:] = ink[:, :wide] = ink[:, -wide:] = 1
    return ink


def underlined(ink, thick=0.04):
    """Add a thick line from the left to the right, below the digit."""
    ink = ink.copy()
    height = len(ink)
    ink[round(0.9 * height) : round((0.9 + thick) * height)] = 1
    return ink


def edge_of_table(ink):
    """Add what is seen next to a sheet that fills not all of a photograph, a bit turned."""
    y, x = np.mgrid[: len(ink), : ink.shape[1]] / len(ink)
    return np.where(y + 0.05 * x > 0.93, 1, ink)


def two(left, right, size=(800, 600)):
    """Return two digits next to each other."""
    half = (size[0] // 2, size[1])
    return np.hstack([digit(left, half), digit(right, half)])


# Lines that touch the border, which predict removes.
LINES = {
    "ruled": ruled,
    "ruled with dark lines": lambda ink: ruled(ink, strength=1, pen=0.012),
    "checked": checked,
    "thin frame": lambda ink: framed(ink, 0.01),
    "frame": framed,
    "thick frame": lambda ink: framed(ink, 0.06),
    "underlined": underlined,
    "edge of a table": edge_of_table,
    "framed and ruled": lambda ink: framed(ruled(ink)),
}


def _transparent(ink, colour):
    rgba = np.empty((*ink.shape, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[..., 3] = 255 * ink
    return Image.fromarray(rgba)


def _rounded_corners(ink):
    image = mix(ink, [255] * 3, [20, 30, 60]).convert("RGBA")
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *image.size), 40, fill=255)
    image.putalpha(mask)
    return image


def _off_centre(ink):
    sheet = np.zeros((2 * ink.shape[0], 3 * ink.shape[1]))
    sheet[60 : 60 + ink.shape[0], -ink.shape[1] - 20 : -20] = ink
    return mix(sheet, [30] * 3, [240] * 3)


def _photographed(ink):
    """Add a lamp on the left, a vignette, noise, and JPEG compression."""
    rng = np.random.default_rng(0)
    height, width = ink.shape
    y, x = np.mgrid[:height, :width] / max(ink.shape)
    light = 210 - 60 * x - 30 * y - 25 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    grey = light * (1 - 0.7 * ink)
    tinted = grey[..., None] * [1, 0.95, 0.85] + rng.normal(0, 8, (height, width, 3))
    return _through_jpeg(Image.fromarray(np.clip(tinted, 0, 255).astype(np.uint8)), 60)


def _through_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def _noisy(ink):
    grey = 200 - 140 * ink[..., None]
    noise = np.random.default_rng(0).normal(0, 20, (*ink.shape, 3))
    return Image.fromarray(np.clip(grey + noise, 0, 255).astype(np.uint8))


def _dusty(ink):
    ink = ink.copy()
    for row, column in np.random.default_rng(0).integers(0, min(ink.shape) - 6, (12, 2)):
        ink[row : row + 5, column : column + 5] = 1
    return mix(ink, [0] * 3, [255] * 3)


BLACK, WHITE = [0] * 3, [255] * 3

KINDS = {
    "light on dark": lambda ink: mix(ink, WHITE, BLACK),
    "dark on light": lambda ink: mix(ink, BLACK, WHITE),
    "red on yellow": lambda ink: mix(ink, [180, 20, 30], [250, 240, 150]),
    "red on green, equally bright": lambda ink: mix(ink, [200, 40, 40], [30, 122, 40]),
    "pencil": lambda ink: mix(ink, [205] * 3, [250] * 3),
    "off-centre": _off_centre,
    "black on nothing": lambda ink: _transparent(ink, BLACK),
    "white on nothing": lambda ink: _transparent(ink, WHITE),
    "rounded corners": _rounded_corners,
    "JPEG": lambda ink: _through_jpeg(mix(ink, BLACK, WHITE), 30),
    "16 bits": lambda ink: Image.fromarray((65535 * (1 - ink)).astype(np.uint16)),
    "two colours": lambda ink: mix(ink, BLACK, WHITE).convert("1"),
    "palette": lambda ink: mix(ink, [90, 0, 90], WHITE).quantize(16),
    "CMYK": lambda ink: _through_jpeg(mix(ink, BLACK, WHITE).convert("CMYK"), 90),
    "photographed": _photographed,
    "noisy": _noisy,
    "dusty": _dusty,
}


def save(image, folder, name="image"):
    """Save an image as JPEG or PNG, and return the path."""
    path = folder / f"{name}.{'jpg' if image.format == 'JPEG' else 'png'}"
    image.save(path, **({"quality": 90} if image.format == "JPEG" else {}))
    return path


def write_noise(path, shape=(5, 7), seed=0):
    """Write a grey image of noise, and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(grey).save(path)
    return grey
