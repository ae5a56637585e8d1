"""Every model on small odd data that `download` accepts: it ends, or is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits import memory
from digits.data import arrays
from digits.errors import InputError
from digits.methods import random_features
from stages import train
from tests.helpers.project import options
from tests.unit.test_bounds import QUICK, between, ranges, works_or_is_refused

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


def lines():
    """Return twelve images of two classes, of which each has a different bright line."""
    images = np.zeros((12, 4, 4), np.uint8)
    images[::2, 0], images[1::2, 3] = 255, 254
    return images


TWO = np.arange(12) % 2
DIFFERENCE = np.pad(TWO.reshape(12, 1, 1), [(0, 0), (3, 0), (0, 3)])
ODD = {
    "an image of each class": (noise(2, 4, 4), np.arange(2)),
    "one pixel": (noise(12, 1, 1), TWO),
    "one pixel that is the label": (255 * TWO.reshape(12, 1, 1), TWO),
    "all blank": (np.zeros((12, 4, 4), int), TWO),
    "all white": (np.full((12, 4, 4), 255), TWO),
    "all alike": (np.repeat(noise(1, 4, 4), 12, axis=0), TWO),
    "alike in each class": (lines(), TWO),
    "one pixel differs by one grey value": (DIFFERENCE, TWO),
    "the same images in both classes": (np.repeat(noise(6, 4, 4), 2, axis=0), TWO),
    "one image against eleven": (noise(12, 4, 4), np.arange(12) // 11),
    "a row": (noise(12, 1, 64), TWO),
    "a column": (noise(12, 64, 1), TWO),
    "labels 0 and 99": (noise(12, 4, 4), 99 * TWO),
    "many classes": (noise(60, 3, 3), np.arange(60) % 20),
    "many classes, an image of each": (noise(20, 2, 2), np.arange(20)),
}
N_VALUES = st.sampled_from([1, 2, 256])
SIZES = st.tuples(
    st.integers(2, 6), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)
)  # fmt: skip


def made(n_classes, of_each, *shape, n_values):
    """Return random images of some grey values."""
    n = n_classes * of_each
    values = np.random.default_rng(n).integers(0, n_values, (n, *shape))
    return values * (255 // max(n_values - 1, 1)), np.arange(n) % n_classes


MADE = st.builds(lambda sizes, n_values: made(*sizes, n_values=n_values), SIZES, N_VALUES)


def accepted(images, labels):
    """Return data as `download` reads it."""
    splits = ("train", "test")
    given = {f"x_{s}": images for s in splits} | {f"y_{s}": labels for s in splits}
    return arrays.to_dataset(given, "odd")


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "_physical", lambda: {"free": 2**28})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.parametrize("model", QUICK)
def test_a_fit_of_odd_data_is_finite_or_refused(model, tmp_path_factory):
    drawn = {
        name: st.sampled_from(values) if isinstance(values, list) else between(*values)
        for name, values in ranges(model).items()
    }

    @settings(max_examples=60)
    @given(
        st.sampled_from(list(ODD.values())) | MADE,
        st.fixed_dictionaries(drawn),
    )
    def check(data, parameters):
        folder = tmp_path_factory.getbasetemp()
        works_or_is_refused(model, parameters, accepted(*data), folder)

    check()


@pytest.mark.parametrize("name", ["all blank", "all alike"])
def test_random_features_of_images_that_do_not_differ_are_refused(name, monkeypatch):
    monkeypatch.setattr(random_features, "MOST_DRAWS", 100)
    block = options("random_features", features=5, ridge=0.1, seed=0)
    with pytest.raises(InputError, match=r"^train\.features: in 100 draws, no two images"):
        train.train(accepted(*ODD[name]).train, block)
