from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from digits.data.dataset import DIGITS
from digits.figures import plots, sample_grid
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
    pixels = imread(tmp_path / "a.png")[..., :3]
    assert min(pixels.shape[:2]) > 200
    assert 0.01 < np.mean(pixels < 0.9) < 0.9


@pytest.fixture
def figures(monkeypatch):
    """The figures that would be written."""
    drawn = []
    for module in (plots, sample_grid):
        monkeypatch.setattr(module, "write_png", lambda _path, figure: drawn.append(figure))
    return drawn


def test_a_confusion_matrix_shows_every_count_in_its_cell(figures):
    plots.confusion(None, np.array([[7, 1], [2, 30]]), ["3", "8"], "toy")
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["7", "1", "2", "30"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3", "8"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["3", "8"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "actual class")
    # row 0, column 1 is to the right, above row 1
    assert axes.texts[1].get_position() == (1, 0)


def test_each_row_of_scores_has_its_class_its_counts_and_all_thresholds(figures):
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
    axes = figures[0].axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["3", "8"]
    heights = axes.get_yticks()
    assert heights[0] > heights[1]
    for stairs, height, row in zip(axes.patches, heights, counts, strict=True):
        values, edges, floor = stairs.get_data()
        assert edges.tolist() == [0, 0.5, 1]
        np.testing.assert_allclose((values - floor) / max(values - floor), row / max(row))
        assert floor < height < max(values)
    thresholds = [tuple(line[:, 0]) for line in axes.collections[-1].get_segments()]
    assert sorted(thresholds) == [(0.3, 0.3)] * 2 + [(0.6, 0.6)] * 2


def test_the_lines_of_the_sweep_have_the_right_labels(figures):
    sweep = np.random.default_rng(0).random((101, 4))
    plots.threshold_sweep(None, sweep, 0.49, "toy")
    lines = {line.get_label(): line.get_ydata() for line in figures[0].axes[0].lines}
    for column, name in enumerate(("accuracy", "precision", "recall"), 1):
        np.testing.assert_array_equal(lines[name], sweep[:, column])


def test_each_image_of_the_sample_grid_has_its_label(figures, tiny):
    sample_grid.draw(None, *tiny.train, tiny.names)
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == [str(d % 10) for d in range(12)]
    images = tiny.train.images[:12]
    for shown, title, image in zip(axes.images, axes.texts, images, strict=True):
        np.testing.assert_array_equal(shown.get_array(), image)
        left, right, _, top = shown.get_extent()
        assert title.get_position() == pytest.approx(((left + right) / 2, top), abs=0.1)


def test_images_of_the_sample_grid_keep_their_shape(figures, tiny):
    sample_grid.draw(None, tiny.train.images[:, :4], tiny.train.labels, tiny.names)
    left, right, bottom, top = figures[0].axes[0].images[0].get_extent()
    assert right - left == pytest.approx(2 * (top - bottom))


def test_labels_are_short_and_drawable_and_not_formulas():
    names = ("$x$", "a very long name of a class indeed", "שלום", "猫", "Ärmel")
    shown = plot_labels(names)
    assert shown[0] == r"\$x\$"  # matplotlib removes the backslashes
    assert len(shown[1]) <= MAX_LENGTH
    assert shown[1].startswith("a very") and shown[1].endswith("indeed")  # noqa: PT018
    assert shown[2:] == ["שלום", "class 3", "Ärmel"]


@pytest.mark.parametrize("n_classes", [2, 12, 25])
def test_counts_fit_their_cells_and_names_do_not_overlap(figures, n_classes):
    counts = np.random.default_rng(0).integers(0, 10, (n_classes, n_classes))
    np.fill_diagonal(counts, 9999)
    names = [f"a class of number {i}" for i in range(n_classes)]
    plots.confusion(None, counts, names, "toy")
    (figure,) = figures
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    axes = figure.axes[0]
    cell = axes.get_window_extent(renderer).width / n_classes
    for text in axes.texts:
        box = text.get_window_extent(renderer)
        assert max(box.width, box.height) < cell
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [label.get_window_extent(renderer) for label in labels]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
        assert all(min(box.x0, box.y0) >= 0 for box in boxes)  # inside the figure
