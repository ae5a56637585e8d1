import contextlib
import random

import numpy as np
import pytest
from PIL import Image

from digits.data import dataset
from digits.errors import InputError
from digits.images import image_input
from digits.images.mnist_format import is_mnist_format, to_mnist_format
from digits.models import serialization
from tests.helpers import drawings
from tests.helpers.project import ROOT

FRAME = (28, 28)


def load(path, *, mnist_like=True):
    return image_input.load(path, FRAME, mnist_like=mnist_like).pixels


def apart(seen, name):
    """Return the share of a digit's ink that is elsewhere, up to a pixel's shift."""
    drawing = np.rint(255 * drawings.digit(name)).astype(np.uint8)
    expected = to_mnist_format(drawing).astype(float)
    shifts = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
    distances = [np.abs(np.roll(seen, shift, (0, 1)) - expected).sum() for shift in shifts]
    return min(distances) / expected.sum()


@pytest.fixture
def formatted():
    """An image in MNIST's format that does not use all grey values."""
    image = to_mnist_format(np.rint(200 * drawings.digit(3)).astype(np.uint8)) // 2
    assert is_mnist_format(image)
    return image


@pytest.mark.long
@pytest.mark.parametrize("kind", drawings.KINDS)
@pytest.mark.parametrize("name", [4, 7])
def test_a_digit_is_extracted_from_any_background(tmp_path, kind, name):
    seen = load(drawings.save(drawings.KINDS[kind](drawings.digit(name)), tmp_path))
    assert seen.dtype == np.uint8
    assert is_mnist_format(seen)
    assert apart(seen, name) < 0.2


@pytest.mark.long
@pytest.mark.parametrize("lines", drawings.LINES)
def test_lines_that_touch_the_border_are_removed(tmp_path, lines):
    ink = drawings.LINES[lines](drawings.digit(4))
    seen = load(drawings.save(drawings.KINDS["dark on light"](ink), tmp_path))
    assert is_mnist_format(seen)
    assert apart(seen, 4) < 0.2


LARGE = pytest.param((2500, 3500), marks=pytest.mark.long)


@pytest.mark.parametrize("size", [(40, 56), (150, 210), LARGE])
def test_the_size_of_an_image_file_makes_no_difference(tmp_path, size):
    image = drawings.KINDS["dark on light"](drawings.digit(7))
    assert apart(load(drawings.save(image.resize(size), tmp_path)), 7) < 0.35


def test_another_digit_looks_different(tmp_path):
    image = drawings.KINDS["dark on light"](drawings.digit(4))
    assert apart(load(drawings.save(image, tmp_path)), 7) > 0.8


@pytest.mark.parametrize("convert", [None, "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("negative", [False, True])
def test_an_image_in_mnist_format_is_not_changed(tmp_path, formatted, convert, negative):
    image = Image.fromarray(255 - formatted if negative else formatted)
    image.convert(convert).save(tmp_path / "formatted.png")
    np.testing.assert_array_equal(load(tmp_path / "formatted.png"), formatted)


def test_16_bits_in_mnist_format_are_only_reduced_to_8(tmp_path, formatted):
    Image.fromarray(formatted.astype(np.uint16) * 257).save(tmp_path / "formatted.png")
    np.testing.assert_array_equal(load(tmp_path / "formatted.png"), formatted)


def test_images_of_other_data_keep_their_greys(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, FRAME).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "same.png")
    np.testing.assert_array_equal(load(tmp_path / "same.png", mnist_like=False), image)
    Image.fromarray(image).resize((56, 56), Image.Resampling.NEAREST).save(
        tmp_path / "large.png"
    )
    np.testing.assert_array_equal(load(tmp_path / "large.png", mnist_like=False), image)


def test_grey_values_are_those_of_whole_numbers():
    """One colour in a thousand is exactly between two grey values."""
    colours = np.random.default_rng(0).integers(0, 256, (1000, 30, 3))
    thousandths = colours @ np.array([299, 587, 114])
    below, rest = thousandths // 1000, thousandths % 1000
    expected = below + ((rest > 500) | ((rest == 500) & (below % 2 == 1)))
    assert (rest == 500).sum() > 10
    np.testing.assert_array_equal(image_input.to_grey(colours.astype(np.float64)), expected)


def test_an_image_is_turned_as_its_exif_data_says(tmp_path):
    upright = drawings.mix(drawings.digit(4), drawings.BLACK, drawings.WHITE)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise
    upright.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright.save(tmp_path / "upright.jpg", quality=95)
    seen = [load(tmp_path / f"{name}.jpg").astype(int) for name in ("turned", "upright")]
    assert np.abs(seen[0] - seen[1]).mean() < 3


def blank(shape=(200, 300), noise=0.0):
    grey = 200 + np.random.default_rng(0).normal(0, noise, (*shape, 3))
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "image",
    [
        blank(),
        blank((1, 1)),
        blank((1, 300)),
        blank(noise=10),
        Image.new("RGBA", (50, 50)),
        Image.new("L", FRAME),
    ],
)
def test_an_empty_image_is_refused(tmp_path, image):
    image.save(tmp_path / "empty.png")
    with pytest.raises(
        InputError, match=r"empty\.png: the image is empty, or its ink is too faint$"
    ):
        load(tmp_path / "empty.png")


def test_a_file_that_is_not_an_image_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("7")
    with pytest.raises(InputError, match=r"text\.png: is not an image \(PNG, JPEG"):
        load(tmp_path / "text.png")
    Image.new("L", (9, 9)).save(tmp_path / "other.png", "PPM")
    with pytest.raises(InputError, match="is not an image"):
        load(tmp_path / "other.png")
    with pytest.raises(InputError, match=r"none\.png: No such file or directory$"):
        load(tmp_path / "none.png")


@pytest.mark.slow
def test_an_image_that_would_fill_the_memory_is_refused(tmp_path):
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    with pytest.raises(InputError, match=r"bomb\.png: is larger than [\d,]+ pixels$"):
        load(tmp_path / "bomb.png")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "warned.png")
    with pytest.raises(InputError, match="is larger than"):
        load(tmp_path / "warned.png")


def test_heic_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(InputError, match=r"format HEIC.*save it as JPEG or PNG$"):
        load(tmp_path / "phone.heic")


@pytest.mark.parametrize("suffix", sorted(image_input.SUFFIXES))
def test_a_digit_is_read_from_every_format(tmp_path, suffix):
    drawings.mix(drawings.digit(7), [90, 0, 0], drawings.WHITE).save(
        tmp_path / f"7{suffix}"
    )
    assert apart(load(tmp_path / f"7{suffix}"), 7) < 0.2


@pytest.mark.parametrize(("dtype", "mode"), [(np.float32, "F"), (np.int32, "I")])
def test_a_tiff_of_32_bits_is_refused(tmp_path, dtype, mode):
    Image.fromarray(np.ones((9, 9), dtype), mode).save(tmp_path / "wide.tif")
    with pytest.raises(
        InputError, match="has grey values of 32 bits; save it with 8 or 16"
    ):
        load(tmp_path / "wide.tif")


def test_the_space_around_an_image_has_the_colour_of_its_border(tmp_path):
    Image.new("L", (56, 28), 200).save(tmp_path / "wide.png")
    seen = load(tmp_path / "wide.png", mnist_like=False)
    assert (seen == 200).all()
    seen = image_input.load(
        tmp_path / "wide.png", FRAME, mnist_like=False, invert=True
    ).pixels
    assert (seen == 55).all()


@pytest.mark.parametrize("suffix", sorted(image_input.SUFFIXES))
def test_a_damaged_file_is_one_error_wherever_the_damage_is(tmp_path, suffix):
    path = tmp_path / f"damaged{suffix}"
    drawings.mix(drawings.digit(7, (60, 80)), [90, 0, 0], drawings.WHITE).save(path)
    whole = path.read_bytes()
    rng = random.Random(0)  # noqa: S311 (no cryptography)
    for _ in range(150):
        data = bytearray(whole)
        if rng.random() < 0.3:
            data = data[: rng.randrange(len(data))]
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(min(len(data), rng.choice((60, 10**6))))] = (
                    rng.randrange(256)
                )
        path.write_bytes(data)
        with contextlib.suppress(InputError):  # another error fails the test
            load(path)


def test_a_damaged_file_that_asks_for_memory_is_an_error(tmp_path, monkeypatch):
    """As Pillow does for a PNG whose chunk says that it is gigabytes long."""
    path = drawings.save(drawings.mix(drawings.digit(7), [0] * 3, [255] * 3), tmp_path)

    def read(*_):
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_end", read)
    with pytest.raises(InputError, match="is damaged, or needs too much memory"):
        load(path)


@pytest.fixture(scope="module")
def multinomial():
    return serialization.load(ROOT / "data/models/multinomial.npz")


@pytest.mark.results
@pytest.mark.parametrize("name", drawings.STROKES)
@pytest.mark.parametrize("kind", drawings.KINDS)
def test_a_drawn_digit_is_recognised(tmp_path, multinomial, name, kind):
    seen = load(drawings.save(drawings.KINDS[kind](drawings.digit(name)), tmp_path))
    scores = multinomial.scores(seen[None])
    assert multinomial.classes[multinomial.decision.predict(scores)] == [name]


@pytest.mark.results
@pytest.mark.parametrize("kind", ["dark on light", "photographed"])
@pytest.mark.parametrize("lines", drawings.LINES)
def test_a_drawn_digit_is_recognised_among_lines(tmp_path, multinomial, lines, kind):
    for name in drawings.STROKES:
        image = drawings.KINDS[kind](drawings.LINES[lines](drawings.digit(name)))
        scores = multinomial.scores(load(drawings.save(image, tmp_path))[None])
        assert multinomial.classes[multinomial.decision.predict(scores)] == [name]


@pytest.mark.results
@pytest.mark.parametrize("kind", drawings.KINDS)
def test_a_test_image_is_recognised_in_an_image_of_any_kind(tmp_path, multinomial, kind):
    split = dataset.load_split(ROOT / "data/raw/test")
    scores = multinomial.scores(split.images)
    ranked = np.sort(scores, axis=1)
    sure = (scores.argmax(axis=1) == split.labels) & (ranked[:, -1] - ranked[:, -2] > 6)
    chosen = np.random.default_rng(0).choice(np.flatnonzero(sure), 100, replace=False)
    seen = [
        load(
            drawings.save(drawings.KINDS[kind](drawings.enlarge(split.images[i])), tmp_path)
        )
        for i in chosen
    ]
    called = multinomial.decision.predict(multinomial.scores(np.array(seen)))
    assert np.mean(called == split.labels[chosen]) >= 0.98
