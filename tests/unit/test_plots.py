from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.image import imread

from digits.data.dataset import DIGITS
from digits.figures import plots, sample_grid, tuning
from digits.figures.labels import MAX_LENGTH, plot_labels


def tuned(key, values, **other):
    """The table of a tuning: the first value is the simplest, the second the best."""
    choices = ["simplest", "best", *[""] * len(values)]
    return [
        {
            key: value, **other, "accuracy": 0.9 - 0.01 * (i != 1), "accuracy_se": 0.02,
            "log_loss": 0.3 + 0.01 * i, "log_loss_se": 0.04, "choice": choice,
        }
        for i, (value, choice) in enumerate(zip(values, choices, strict=False))
    ]  # fmt: skip


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
        case "tuning":
            tuning.tuning_plot(path, tuned("C", [0.01, 0.1, 1.0]), "toy")
        case _:
            plots.threshold_sweep(path, rng.random((101, 4)), 0.49, "toy")


@pytest.mark.parametrize("name", ["digits", "confusion", "scores", "sweep", "tuning"])
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
    for module in (plots, sample_grid, tuning):
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
    depths = np.array([[7 / 8, -1 / 8], [-2 / 32, 30 / 32]])  # orange is below 0
    shown = axes.images[0].get_array()
    np.testing.assert_allclose(shown, np.sign(depths) * np.abs(depths) ** 0.4, atol=1e-4)
    assert axes.images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize("of_margin", [False, True])
def test_rows_of_scores_have_equal_areas_and_are_blue_where_correct(figures, of_margin):
    counts = np.array([[0, 4, 0, 0], [0, 1, 9, 0]])
    edges = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    thresholds = np.array([0.6])
    plots.scores(
        None,
        edges,
        counts,
        thresholds,
        classes=["3", "8"],
        variant="toy",
        of_margin=of_margin,
    )
    axes = figures[0].axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["3", "8"]
    floors = axes.get_yticks() - 0.35
    assert floors[0] > floors[1]
    right = [(0.6, 2.0)] * 2 if of_margin else [(0.0, 0.6), (0.6, 2.0)]
    for row, (floor, share) in enumerate(zip(floors, [4 / 4, 9 / 10], strict=True)):
        wrong, correct = axes.patches[2 * row : 2 * row + 2]
        for stairs, colour in ((wrong, plots.WRONG), (correct, plots.CORRECT)):
            values, at, foot = stairs.get_data()
            assert at.tolist() == edges.tolist()
            assert foot == floor
            assert max(values) - floor == pytest.approx(0.95 * share)
            assert to_hex(stairs.get_facecolor()) == colour
        (left, bottom), (end, top) = axes.transData.inverted().transform(
            correct.get_clip_box().get_points()
        )
        assert (left, end) == pytest.approx(right[row])
        assert (bottom, top) == pytest.approx((floor, floor + 1), abs=1e-9)
    drawn = [tuple(line[:, 0]) for line in axes.collections[-1].get_segments()]
    assert drawn == [(0.6, 0.6)] * 2


def test_the_lines_of_the_sweep_have_the_right_labels(figures):
    sweep = np.random.default_rng(0).random((101, 4))
    plots.threshold_sweep(None, sweep, 0.49, "toy")
    lines = {line.get_label(): line.get_ydata() for line in figures[0].axes[0].lines}
    for column, name in enumerate(("accuracy", "precision", "recall"), 1):
        np.testing.assert_array_equal(lines[name], sweep[:, column])


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_the_legend_of_the_sweep_is_outside_and_shares_near_1_differ(figures, threshold):
    sweep = np.full((101, 4), [0.5, 0.99, 0.999, 1.0])
    sweep[:, 0] = np.linspace(0, 1, 101)
    plots.threshold_sweep(None, sweep, threshold, "toy")
    (figure,) = figures
    axes = figure.axes[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    legend, area = (part.get_window_extent(renderer) for part in (axes.get_legend(), axes))
    assert not legend.overlaps(area.shrunk(0.99, 0.99))
    assert not legend.overlaps(axes.title.get_window_extent(renderer))
    heights = [
        axes.transData.transform((0, line.get_ydata()[0]))[1] for line in axes.lines[:3]
    ]
    assert min(np.diff(heights)) > area.height / 10
    assert max(heights) <= area.y1


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


def test_a_tuning_has_error_bars_and_marks_the_choice(figures):
    tuning.tuning_plot(None, tuned("C", [0.001, 0.01, 1.0]), "toy")
    accuracy, log_loss = figures[0].axes
    assert (accuracy.get_ylabel(), log_loss.get_ylabel()) == ("accuracy", "log loss")
    assert (accuracy.get_title(), log_loss.get_xlabel()) == ("toy", "C")
    for axes, means, error in (
        (accuracy, [0.89, 0.9, 0.89], 0.02),
        (log_loss, [0.3, 0.31, 0.32], 0.04),
    ):
        (bars,) = axes.collections
        expected = [
            [(x, mean - error), (x, mean + error)]
            for x, mean in zip((-3, -2, 0), means, strict=True)
        ]
        np.testing.assert_allclose(bars.get_segments(), expected)
        marked = {size(line): line.get_xydata() for line in axes.lines}
        np.testing.assert_allclose(marked[8], [(-2, means[1])])  # best: the dot
        np.testing.assert_allclose(marked[13], [(-3, means[0])])  # simplest: the ring
    assert [tick.get_text() for tick in log_loss.get_xticklabels()] == [
        "0.001",
        "0.01",
        "1",
    ]
    assert [entry.get_text() for entry in accuracy.get_legend().get_texts()] == [
        "best: C = 0.01",
        "simplest within one standard error: C = 0.001",
        "one standard error from the best mean",
    ]


def size(line):
    """The size of a line's markers; 0 of an entry of the legend."""
    return line.get_markersize() if len(line.get_xydata()) else 0


@pytest.mark.parametrize(("measure", "limit"), [("accuracy", 0.88), ("log_loss", 0.35)])
def test_the_dashed_line_is_one_standard_error_from_the_best(figures, measure, limit):
    tuning.tuning_plot(None, tuned("C", [0.01, 1.0]), "toy", measure)
    dashed = {
        axes.get_ylabel().replace(" ", "_"): line.get_ydata()[0]
        for axes in figures[0].axes
        for line in axes.lines
        if line.get_linestyle() == "--" and len(line.get_ydata())
    }
    assert dashed == {measure: pytest.approx(limit)}


@pytest.mark.parametrize(
    ("values", "positions"),
    [
        ([0.3, 0.4, 0.5], [0.3, 0.4, 0.5]),
        ([1, 2, 3, 40], np.log10([1, 2, 3, 40])),
        ([5, 20, 35, 50], [5, 20, 35, 50]),  # evenly spaced
        ([0.0, 1.0, 100.0], [0, 1, 100]),
        (["deskew", None], [0, 1]),
        ([[0.5, 1.5], [0.6, 1.4]], [0, 1]),
    ],
)
def test_the_axis_of_a_tuning_fits_its_values(figures, values, positions):
    tuning.tuning_plot(None, tuned("key", values), "toy")
    line = next(line for line in figures[0].axes[0].lines if len(line.get_xdata()) > 1)
    np.testing.assert_allclose(line.get_xdata(), positions)


def test_a_product_has_a_line_for_each_value_of_the_shorter_parameter(figures):
    table = [
        {"epochs": epochs, **row}
        for epochs in (4, 8)
        for row in tuned("learning_rate", [0.01, 0.02, 0.04])
    ]
    tuning.tuning_plot(None, table, "toy")
    axes = figures[0].axes[0]
    assert axes.figure.axes[-1].get_xlabel() == "learning_rate"
    four, eight = (
        line.get_xdata()
        for line in axes.lines
        if len(line.get_xdata()) > 1 and line.get_linestyle() == "-" and size(line) == 4
    )
    assert four[0] < 0.01 < eight[0]  # bars side by side
    assert axes.get_legend().get_title().get_text() == "epochs"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["4", "8"]


def test_without_probabilities_a_tuning_has_no_log_loss(figures):
    table = [row | {"log_loss": None, "log_loss_se": None} for row in tuned("k", [1, 3])]
    tuning.tuning_plot(None, table, "toy")
    assert [axes.get_ylabel() for axes in figures[0].axes] == ["accuracy"]


def test_texts_of_a_tuning_lie_inside_and_do_not_overlap(figures):
    """Eleven values have the longest labels that are all drawn."""
    values = np.geomspace(1e-4, 10, 11).tolist()
    tuning.tuning_plot(None, tuned("C", values), "a name of a tuning, as long as it may be")
    (figure,) = figures
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    axes = figure.axes
    ticks = [label.get_window_extent(renderer) for label in axes[-1].get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(ticks))
    legend = axes[0].get_legend().get_window_extent(renderer)
    assert not legend.overlaps(axes[0].title.get_window_extent(renderer))
    for panel in axes:
        assert panel.get_tightbbox(renderer).x0 >= 0
        label = panel.yaxis.label.get_window_extent(renderer)
        assert not any(
            label.overlaps(tick.get_window_extent(renderer))
            for tick in panel.get_yticklabels()
        )
