import numpy as np
import pytest
from matplotlib.image import imread

from digits import gallery, plots


def draw(name, path):
    rng = np.random.default_rng(0)
    match name:
        case "digits":
            gallery.first_digits(path, rng.integers(0, 256, (5, 8, 8)), np.arange(5))
        case "confusion":
            plots.confusion(path, np.diag([3, 0, 5]), [1, 3, 8], "toy")
        case "scores":
            plots.scores(
                path,
                np.linspace(0, 1, 5),
                rng.integers(0, 9, (3, 4)),
                np.array([0.3, 0.6]),
                classes=[1, 3, 8],
                variant="toy",
                of_margin=False,
            )
        case _:
            plots.threshold_sweep(path, rng.random((101, 4)), 0.49, "toy")


@pytest.mark.parametrize("name", ["digits", "confusion", "scores", "sweep"])
def test_a_picture_is_the_same_bytes_each_time_and_not_blank(tmp_path, name):
    for copy in "ab":
        draw(name, tmp_path / f"{copy}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = imread(tmp_path / "a.png")[..., :3]
    assert min(pixels.shape[:2]) > 200
    assert 0.01 < np.mean(pixels < 0.9) < 0.9


def texts(monkeypatch, draw_it):
    """Return the texts in the figure that `draw_it` would save."""
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, _path: figures.append(figure))
    draw_it()
    (axes, *_) = figures[0].axes
    return axes, [text.get_text() for text in axes.texts]


def test_a_confusion_matrix_shows_every_count_in_its_cell(monkeypatch, tmp_path):
    counts = np.array([[7, 1], [2, 30]])
    axes, shown = texts(
        monkeypatch, lambda: plots.confusion(tmp_path / "x", counts, [3, 8], "toy")
    )
    assert shown == ["7", "1", "2", "30"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3", "8"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted digit", "actual digit")
    # row 0, column 1 is drawn to the right, one up from row 1
    assert axes.texts[1].get_position() == (1, 0)
