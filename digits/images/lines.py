"""Lines from one border of a drawing to the other: ruled paper, the edge of a sheet.

The report page does the same in `digits/report/page/lines.js`, with the constants of this
module; a test in a browser compares the two. Only whole numbers are compared, so both find
the same pixels.
"""

import numpy as np

# The thickness of a ruled line, as the share 1/n of the drawing's shorter side, at most. A
# line may be interrupted for as long. The pen of the report page is thicker.
THIN = 20
# A line that other ink has hidden in n columns may go on up to 1 + n/16 pixels away.
SLANT = 16
# What is left must have a part as long as the share 1/n of the shorter side.
LARGE = 10


def without_lines(ink: np.ndarray) -> np.ndarray:
    """Return a drawing without the lines that go from border to border.

    A thin line is followed through the ink that it crosses, which stays. Ink that is
    separate from the rest is removed if it touches two opposite borders, or one and is
    thin. If nothing large is left, nothing is removed: then the ink is the digit.

    Args:
        ink: (height, width) bool.

    Returns:
        (height, width) bool; `ink` itself if there is no line.
    """
    if not (ink[[0, -1]].any() or ink[:, [0, -1]].any()):
        return ink
    left = _without_thin(_without_thin(ink).T).T
    return _without_parts(left, ink)


def _without_thin(ink: np.ndarray) -> np.ndarray:
    """Return ink without the thin lines from the left to the right border."""
    columns = [column.tobytes() for column in ink.T]
    most = max(1, min(ink.shape) // THIN)
    left = ink.copy()
    start = columns[0].find(1)
    while start >= 0:
        stop = _end(columns[0], start)
        if stop - start <= most:
            for x, low, high in _followed(columns, start, stop, most):
                left[low:high, x] = False
        start = columns[0].find(1, stop)
    return left


def _end(column: bytes, start: int) -> int:
    """Return where the run of ink that begins at `start` ends."""
    stop = column.find(0, start)
    return len(column) if stop < 0 else stop


def _followed(
    columns: list[bytes], start: int, stop: int, most: int
) -> list[tuple[int, int, int]]:
    """Return the runs of ink, (column, start, end), of a line; none if it ends before.

    Args:
        columns: The ink of each column, from the left.
        start: Where the line begins in the first column.
        stop: Where it ends there.
        most: How many columns it may be interrupted.
    """
    thickest = stop - start + max(1, (stop - start) // 2)
    runs, missing, crossed = [], 0, 0
    for x, column in enumerate(columns):
        near = 1 + crossed // SLANT
        at = column.find(1, max(start - near, 0), stop + near)
        if at < 0:
            missing += 1
            if missing > most:
                return []
            continue
        missing = 0
        low, high = column.rfind(0, 0, at) + 1, _end(column, at)
        if high - low > thickest:
            crossed += 1
            continue
        start, stop = low, high
        runs.append((x, low, high))
    return runs if 2 * len(runs) >= len(columns) else []


def _without_parts(left: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """Return ink without separate parts that are lines.

    Args:
        left: (height, width) bool, the ink that is left.
        ink: The ink of the drawing, returned if nothing large would be left.
    """
    from scipy import ndimage  # noqa: PLC0415 (slow to import)

    parts, _ = ndimage.label(left, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    shorter, lines, has_large = min(ink.shape), [], False
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        touched = [
            (side.start == 0) + (side.stop == end)
            for side, end in zip(box, ink.shape, strict=True)
        ]
        length = max(side.stop - side.start for side in box)
        is_thin = sizes[number] <= max(1, shorter // THIN) * length
        if max(touched) == 2 or (any(touched) and is_thin):  # noqa: PLR2004 (both borders)
            lines.append(number)
        else:
            has_large |= LARGE * length >= shorter
    return left & ~np.isin(parts, lines) if has_large else ink
