"""The surface on which figures are drawn, with Pillow.

Positions are in pixels, from the left and from the top. Pillow's text and shapes are
computed in whole numbers. Its import takes a twentieth of the time of matplotlib's.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digits.data.files import write_png

# The name has the version, because fingerprints contain only code.
FONT = Path(__file__).with_name("DejaVuSans-2.37.ttf")
PIXELS_PER_POINT = 100 / 72
SMOOTH = 4  # a curve is drawn so many times as large, and its pixels averaged


@cache
def font(points: float) -> ImageFont.FreeTypeFont:
    """Return the font of all figures.

    Its layout is the basic one, because the other depends on a library of the system.
    """
    size = points * PIXELS_PER_POINT
    return ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)


class Canvas:
    """A white image to draw on.

    Attributes:
        image: The image.
    """

    def __init__(self, width: float, height: float) -> None:
        self.image = Image.new("RGB", (round(width), round(height)), "white")
        self._draw = ImageDraw.Draw(self.image)

    def rectangle(self, box: Sequence[float], colour: str) -> None:
        """Fill a rectangle.

        Args:
            box: (4,) its left, upper, right and lower bound.
            colour: A name or `#rrggbb`.
        """
        left, top, right, bottom = map(_nearest, box)
        if left < right and top < bottom:
            self._draw.rectangle((left, top, right - 1, bottom - 1), colour)

    def pixels(self, box: Sequence[float], colours: np.ndarray) -> None:
        """Show an image, enlarged without smoothing.

        Args:
            box: (4,) as for `rectangle`.
            colours: (height, width) grey values, or (height, width, 3) red, green and blue,
                from 0 to 255.
        """
        left, top, right, bottom = map(_nearest, box)
        high, wide = bottom - top, right - left
        rows = np.arange(high) * colours.shape[0] // high
        columns = np.arange(wide) * colours.shape[1] // wide
        enlarged = colours.astype(np.uint8)[rows[:, None], columns]
        self.image.paste(Image.fromarray(enlarged), (left, top))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        points: float = 10,
        colour: str = "black",
        anchor: str = "mm",
        turned: bool = False,
    ) -> None:
        """Write a line of text.

        Args:
            x: Of the anchor.
            y: Of the anchor.
            text: The text.
            points: The size of the font.
            colour: The colour.
            anchor: Which point of the text is at (x, y): one of Pillow's text anchors.
            turned: Whether it reads upwards; the anchor is then `mm`, or `rm` for its end.
        """
        if not turned:
            position = (_nearest(x), _nearest(y))
            self._draw.text(position, text, colour, font(points), anchor)
            return
        ascent, descent = font(points).getmetrics()
        size = (math.ceil(font(points).getlength(text)), ascent + descent)
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).text((0, 0), text, 255, font(points))
        mask = mask.transpose(Image.Transpose.ROTATE_90)
        above = size[0] // 2 if anchor == "mm" else 0
        corner = (_nearest(x) - size[1] // 2, _nearest(y) - above)
        self.image.paste(colour, (*corner, corner[0] + size[1], corner[1] + size[0]), mask)

    def curve(
        self, points: np.ndarray, colour: str, width: float, dashes: Sequence[float] = ()
    ) -> None:
        """Draw a smooth line.

        Args:
            points: (n_points, 2) that it connects.
            colour: The colour.
            width: In pixels.
            dashes: The lengths of a dash and of a gap; empty for a solid line.
        """
        start = np.floor(points.min(axis=0) - width)
        size = np.ceil(points.max(axis=0) + width) - start
        mask = Image.new("L", tuple((SMOOTH * size).astype(int).tolist()))
        draw = ImageDraw.Draw(mask)
        for part in _dashed(points, *dashes) if dashes else [points]:
            corners = map(tuple, np.rint(SMOOTH * (part - start)).tolist())
            draw.line([*corners], 255, round(SMOOTH * width), joint="curve")
        corner = tuple(start.astype(int).tolist())
        self.image.paste(colour, corner, mask.reduce(SMOOTH))

    def save(self, path: Path) -> None:
        """Write the image as PNG."""
        write_png(path, self.image)


def _nearest(position: float) -> int:
    """Return the nearest whole number; equal distances stay equal."""
    return math.floor(position + 0.5)


def _dashed(points: np.ndarray, dash: float, gap: float) -> list[np.ndarray]:
    """Return the dashes of a line, each (n_points, 2)."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    at = np.concatenate([[0], np.cumsum(lengths)])
    parts = []
    for start in np.arange(0, at[-1], dash + gap):
        end = min(start + dash, at[-1])
        inside = at[(start < at) & (at < end)]
        along = np.concatenate([[start], inside, [end]])
        parts.append(np.column_stack([np.interp(along, at, axis) for axis in points.T]))
    return parts


def ticks(low: float, high: float, most: int = 8) -> list[tuple[float, str]]:
    """Return round numbers between two bounds, and their labels.

    Args:
        low: The lower bound.
        high: The upper bound, above it.
        most: How many steps there may be between them.
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * most >= high - low)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step)))
    values = (number * step for number in range(first, last + 1))
    return [(v, f"{v:.{decimals}f}".replace("-", "\N{MINUS SIGN}")) for v in values]
