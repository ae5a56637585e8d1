from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from digits.data.dataset import DIGITS
from digits.figures import canvas, plots, sample_grid
from digits.figures.labels import MAX_LENGTH, plot_labels


def draw(name, path):
    rng = np.random.default_rng(0)
    match name:
        case "digits":
            sample_grid.draw(path, rng.integers(0, 256, (5, 8, 8)), np.arange(5), DIGITS)
        case "confusion":
            plots.confusion(path, np.diag([3, 0, 5]), ["1", "3", "8"], "toy")
        case "scores":
            plots.scores(
                path,
                np.linspace(0, 1, 5),
                rng.integers(0, 9, (3, 4)),
                np.array([0.3, 0.6]),
                classes=["1", "3", "8"],
                variant="toy",
                of_margin=False,
            )
        case _:
            plots.threshold_sweep(path, rng.random((101, 4)), 0.49, "toy")


@pytest.mark.parametrize("name", ["digits", "confusion", "scores", "sweep"])
def test_a_figure_is_the_same_bytes_each_time_and_not_blank(tmp_path, name):
    for copy in "ab":
        draw(name, tmp_path / f"{copy}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "a.png")) / 255
    assert min(pixels.shape[:2]) > 200
    assert 0.01 < np.mean(pixels < 0.9) < 0.9


class Recorder(canvas.Canvas):
    """A canvas that records what is drawn on it, by the name of the method."""

    last = None

    def __init__(self, width, height):
        super().__init__(width, height)
        self.boxes, self.images, self.texts, self.curves = [], [], [], []
        Recorder.last = self

    def rectangle(self, box, colour):
        super().rectangle(box, colour)
        self.boxes.append((*box, colour))

    def pixels(self, box, colours):
        super().pixels(box, colours)
        self.images.append((box, colours))

    def text(self, x, y, text, **options):
        super().text(x, y, text, **options)
        self.texts.append((x, y, text, options))

    def curve(self, points, colour, width, dashes=()):
        super().curve(points, colour, width, dashes)
        self.curves.append((points, colour))

    def save(self, path):
        pass

    def where(self, text):
        """Return the only position of a text."""
        ((x, y),) = [(x, y) for x, y, written, _ in self.texts if written == text]
        return x, y


@pytest.fixture
def drawn(monkeypatch):
    """A function that returns the canvas of the last figure."""
    for module in (plots, sample_grid):
        monkeypatch.setattr(module, "Canvas", Recorder)
    return lambda: Recorder.last


def test_a_confusion_matrix_shows_every_count_in_its_cell(drawn):
    plots.confusion(None, np.array([[7, 1], [2, 30]]), ["3", "8"], "toy")
    cells = {text: drawn().where(text) for text in ("7", "1", "2", "30")}
    assert cells["7"][0] == cells["2"][0] < cells["1"][0] == cells["30"][0]
    assert cells["7"][1] == cells["1"][1] < cells["2"][1] == cells["30"][1]
    labels = [(x, y) for x, y, text, _ in drawn().texts if text in ("3", "8")]
    for column, row in ((0, 0), (1, 1)):
        below, left = labels[2 * column], labels[2 * row + 1]
        cell = cells["7" if column == 0 else "30"]
        assert (below[0], left[1]) == cell
        assert below[1] > cells["2"][1] and left[0] < cells["7"][0]  # noqa: PT018
    assert drawn().where("predicted class")[1] > labels[0][1]
    assert drawn().where("actual class")[0] < labels[1][0]


def test_the_colour_of_a_cell_is_the_share_of_its_row(drawn):
    plots.confusion(None, np.array([[9, 0], [2, 2]]), ["3", "8"], "toy")
    _, colours = drawn().images[0]
    assert colours[0].tolist() == [[8, 48, 107], [247, 251, 255]]
    assert colours[1].tolist() == [[107, 174, 214]] * 2
    colour_of = {text: options.get("colour") for *_, text, options in drawn().texts}
    assert colour_of["9"] == "white"
    assert colour_of["2"] == "black"


def test_each_row_of_scores_has_its_class_its_counts_and_all_thresholds(drawn):
    counts = np.array([[4, 0], [1, 9]])
    plots.scores(
        None,
        np.array([0.0, 0.5, 1.0]),
        counts,
        np.array([0.3, 0.6]),
        classes=["3", "8"],
        variant="toy",
        of_margin=False,
    )
    bars = [box for box in drawn().boxes if box[-1] == plots.BLUE]
    floors = [bars[0][3], bars[2][3]]
    heights = np.array([bottom - top for _, top, _, bottom, _ in bars]).reshape(2, 2)
    np.testing.assert_allclose(heights / heights.max(axis=1, keepdims=True),
                               counts / counts.max(axis=1, keepdims=True))  # fmt: skip
    assert heights[0].max() == pytest.approx(heights[1].max())
    left, middle, right = bars[0][0], bars[0][2], bars[1][2]
    assert middle - left == right - middle
    for label, floor, height in zip(["3", "8"], floors, heights, strict=True):
        x, y = drawn().where(label)
        assert x < left
        assert floor - height.max() < y < floor
    dashes = [box for box in drawn().boxes if box[-1] == plots.ORANGE]
    expected = [left + share * (right - left) for share in (0.3, 0.6)]
    assert sorted({(a + b) / 2 for a, _, b, *_ in dashes}) == pytest.approx(expected)
    for floor in floors:
        of_row = [box for box in dashes if floor - 55 < box[3] <= floor]
        assert len({box[0] for box in of_row}) == 2


def test_the_lines_of_the_sweep_have_the_right_labels(drawn):
    sweep = np.random.default_rng(0).random((101, 4))
    sweep[:, 0] = np.arange(101) / 100
    plots.threshold_sweep(None, sweep, 0.49, "toy")
    curves, keys = drawn().curves[::2], drawn().curves[1::2]
    low, high = sweep[:, 1:].min(), sweep[:, 1:].max()
    bottom = max(points[:, 1].max() for points, _ in curves)
    top = min(points[:, 1].min() for points, _ in curves)
    for column, name in enumerate(("accuracy", "precision", "recall"), 1):
        (points, colour), (key, same_colour) = curves[column - 1], keys[column - 1]
        shares = (bottom - points[:, 1]) / (bottom - top)
        np.testing.assert_allclose(shares, (sweep[:, column] - low) / (high - low))
        assert colour == same_colour
        assert key[0, 1] == drawn().where(name)[1]


def test_each_image_of_the_sample_grid_has_its_label(drawn, tiny):
    sample_grid.draw(None, *tiny.train, tiny.names)
    assert [text for _, _, text, _ in drawn().texts] == [str(d % 10) for d in range(12)]
    images = tiny.train.images[:12]
    for (box, shown), title, image in zip(drawn().images, drawn().texts, images,
                                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(shown, image)
        left, top, right, _ = box
        assert title[0] == (left + right) / 2
        assert 0 < top - title[1] < 10


def test_images_of_the_sample_grid_keep_their_shape(drawn, tiny):
    sample_grid.draw(None, tiny.train.images[:, :4], tiny.train.labels, tiny.names)
    left, top, right, bottom = drawn().images[0][0]
    assert right - left == pytest.approx(2 * (bottom - top))


def test_labels_are_short_and_can_be_drawn():
    names = ("$x$", "a very long name of a class indeed", "שלום", "猫", "Ärmel")
    shown = plot_labels(names)
    assert shown[0] == "$x$"
    assert len(shown[1]) <= MAX_LENGTH
    assert shown[1].startswith("a very") and shown[1].endswith("indeed")  # noqa: PT018
    # Hebrew would be drawn from left to right; the font has no Chinese
    assert shown[2:] == ["class 2", "class 3", "Ärmel"]


def extent(x, y, text, *, points=10, anchor="mm", turned=False, **_):
    """Return the left, upper, right and lower bound of a text."""
    left, top, right, bottom = canvas.font(points).getbbox(text, anchor=anchor)
    if turned:  # to read upwards
        left, top, right, bottom = top, -right, bottom, -left
    return x + left, y + top, x + right, y + bottom


@pytest.mark.parametrize("n_classes", [2, 12, 25])
def test_counts_fit_their_cells_and_names_do_not_overlap(drawn, n_classes):
    counts = np.random.default_rng(0).integers(0, 10, (n_classes, n_classes))
    np.fill_diagonal(counts, 9999)
    names = [f"a class of number {i}" for i in range(n_classes)]
    plots.confusion(None, counts, names, "toy")
    left, top, right, bottom = drawn().images[0][0]
    cell = (right - left) / n_classes
    texts = [(text, extent(x, y, text, **options)) for x, y, text, options in drawn().texts]
    for text, box in texts:
        if text.isdigit():
            assert max(box[2] - box[0], box[3] - box[1]) < cell
    labels = [box for text, box in texts if text in names]
    for boxes, side in ((labels[::2], 0), (labels[1::2], 1)):
        assert all(a[side + 2] <= b[side] for a, b in pairwise(boxes))
    assert all(box[1] > bottom for box in labels[::2])
    assert all(box[2] < left for box in labels[1::2])
    width, height = drawn().image.size
    for _, box in texts:
        assert min(box[0], box[1]) >= 0
        assert box[2] <= width
        assert box[3] <= height
    assert top > 0


def test_turned_text_reads_upwards_and_ends_at_its_anchor():
    surface = canvas.Canvas(100, 100)
    surface.text(50, 20, "ll.", anchor="rm", turned=True)
    rows, columns = np.nonzero(np.asarray(surface.image.convert("L")) < 200)
    assert 20 <= rows.min() < 24  # the point
    assert abs(columns.mean() - 50) < 4
    # only the letters are high, and they come first, below the point
    assert np.ptp(columns[rows < 24]) < 4 < np.ptp(columns[rows > 26])


def test_a_line_has_its_width_and_its_dashes_have_their_lengths():
    surface = canvas.Canvas(120, 20)
    surface.curve(np.array([(10, 10), (50, 10), (110, 10)]), "black", 2, (8, 4))
    dark = np.asarray(surface.image.convert("L")) < 128
    assert dark.any(axis=1).sum() == 2
    (row, *_) = np.flatnonzero(dark.any(axis=1))
    starts = np.flatnonzero(np.diff(dark[row].astype(int)) == 1) + 1
    ends = np.flatnonzero(np.diff(dark[row].astype(int)) == -1) + 1
    assert np.abs(starts - np.arange(10, 110, 12)).max() <= 1
    assert np.abs(ends - np.minimum(np.arange(18, 122, 12), 110)).max() <= 1


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"),
        (-0.6, 9.9, "0 2 4 6 8"),
        (-10.1, 19, "-10 -5 0 5 10 15"),
        (0.97, 1.001, "0.970 0.975 0.980 0.985 0.990 0.995 1.000"),
        (-2e6, 1e6, "-2000000 -1500000 -1000000 -500000 0 500000 1000000"),
    ],
)
def test_ticks_are_round_numbers_within_the_bounds(low, high, labels):
    found = canvas.ticks(low, high)
    plain = [label.replace("\N{MINUS SIGN}", "-") for _, label in found]
    assert plain == labels.split()
    assert [value for value, _ in found] == pytest.approx([*map(float, plain)])
