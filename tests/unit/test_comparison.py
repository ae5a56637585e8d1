"""The content of the page that compares two revisions."""

import base64
import zlib
from pathlib import PurePath

import numpy as np
import pytest

from digits import paired, revisions
from digits.data import dataset
from digits.data.dataset import Dataset
from digits.paired import Result
from digits.report import comparison, render
from digits.report.comparison import TEST, ImagesAtHand
from digits.revisions import Change, Found, Side, Unpaired
from tests.helpers.project import generate

FOLDER = PurePath()
CLASSES = ("3", "5", "8")


def result(labels, predicted, names):
    """Return the result of a variant on images with these actual and predicted classes."""
    counts = {(a, b): 0 for a in names for b in names}
    wrong = {}
    for image, (actual, said) in enumerate(zip(labels, predicted, strict=True)):
        counts[names[actual], names[said]] += 1
        if actual != said:
            wrong[image] = names[actual], names[said]
    return Result(counts, wrong)


@pytest.fixture
def data() -> Dataset:
    return generate(20, 60)


@pytest.fixture
def at_hand(data):
    """All test images, of which the variant has the classes 3, 5 and 8."""
    checksums = dict.fromkeys(TEST, "x")
    return ImagesAtHand(*data.test, data.names, checksums)


@pytest.fixture
def found(data):
    """Two revisions of a variant whose predictions differ at random."""
    rng = np.random.default_rng(0)
    kept = dataset.select(data.test, [int(name) for name in CLASSES])
    actual = np.searchsorted([int(name) for name in CLASSES], kept.labels)
    sides = []
    for name, commit in (("HEAD~1", "a" * 40), ("workspace", None)):
        said = np.where(rng.random(len(actual)) < 0.3, actual, rng.integers(0, 3, 18))
        of_variant = result(actual, said, CLASSES)
        checksums = dict.fromkeys(TEST, "x")
        sides.append(Side(name, commit, {"some": of_variant}, {FOLDER: checksums}))
    pair = tuple(side.results["some"] for side in sides)
    return Found(sides=tuple(sides), comparisons=paired.compare({"some": pair}, 0.05))


def flips_of(page, name="some"):
    """Return the rows of flips that the page's scripts read."""
    kind, start, length = page["payload"]["layout"][f"{name}/flips"]
    block = unpacked(page)
    flips = np.frombuffer(block, kind, length, start)
    return flips.reshape(-1, 4)


def unpacked(page):
    return zlib.decompress(base64.b64decode(page["packed_arrays"]))


def test_each_image_with_another_prediction_is_listed_with_both(found, at_hand, data):
    page = comparison.content(found, 0.05, at_hand)
    a, b = (side.results["some"].mistakes for side in found.sides)
    numbers = np.flatnonzero(np.isin(data.test.labels, [3, 5, 8]))
    expected = []
    for row, number in enumerate(numbers):
        actual = str(data.test.labels[number])
        before, after = (wrong.get(row, (actual, actual))[1] for wrong in (a, b))
        if before != after:
            expected.append((number, *map(CLASSES.index, (actual, before, after))))
    assert flips_of(page).tolist() == [list(row) for row in expected]
    (section,) = page["differences"]
    assert section["n_lost"] == sum(row[1] == row[2] for row in expected) > 0
    assert section["n_gained"] == sum(row[1] == row[3] for row in expected) > 0
    assert section["n_other"] == sum(row[1] not in row[2:] for row in expected) > 0
    kind, start, length = page["payload"]["layout"]["images"]
    images = np.frombuffer(unpacked(page), kind, length, start).reshape(-1, 8, 8)
    assert np.array_equal(images, data.test.images[[row[0] for row in expected]])


def test_the_matrices_are_those_of_both_revisions(found, at_hand):
    (section,) = comparison.content(found, 0.05, at_hand)["differences"]
    for key, side in zip(("before", "after"), found.sides, strict=True):
        counts = side.results["some"].counts
        assert section[key] == [[counts[a, b] for b in CLASSES] for a in CLASSES]


def test_without_the_images_their_indices_are_shown(found):
    page = comparison.content(found, 0.05, None)
    (section,) = page["differences"]
    assert section["is_paired"]
    assert not section["has_images"]
    assert flips_of(page)[:, 0].max() < section["n_images"] == 18
    assert page["payload"]["layout"]["images"][2] == 0
    html = render.render(page, "comparison.html.jinja")
    assert "<code>dvc pull</code> or <code>dvc repro</code> brings them" in " ".join(
        html.split()
    )


def test_other_images_are_not_shown(found, at_hand, data):
    """As the working tree may have another data set than the revision."""
    of_other = ImagesAtHand(*data.test, data.names, dict.fromkeys(TEST, "y"))
    labels = data.test.labels[::-1]
    moved = ImagesAtHand(data.test.images, labels, data.names, at_hand.checksums)
    for images in (of_other, moved):
        (section,) = comparison.content(found, 0.05, images)["differences"]
        assert not section["has_images"]


def test_images_at_hand_are_those_with_the_checksums(data, tmp_path):
    assert comparison.load_test_images(tmp_path, {}) is None
    dataset.save(tmp_path / "data/raw", data)
    expected = dataset.checksums(data)
    images = comparison.load_test_images(tmp_path, expected)
    assert np.array_equal(images.images, data.test.images)
    assert comparison.load_test_images(tmp_path, {}) is None
    other = expected | {"y_test": expected["y_train"]}
    assert comparison.load_test_images(tmp_path, other) is None
    (tmp_path / "data/raw/test/images.npy").write_bytes(b"")
    assert comparison.load_test_images(tmp_path, expected) is None


def test_results_on_other_data_have_no_pairs(found, at_hand):
    unpaired = Found(sides=found.sides, unpaired=[Unpaired("some", None)])
    page = comparison.content(unpaired, 0.05, at_hand)
    (section,) = page["differences"]
    assert not section["is_paired"]
    assert (len(flips_of(page)), section["n_lost"], section["n_gained"]) == (0, 0, 0)
    html = " ".join(render.render(page, "comparison.html.jinja").split())
    assert (
        "Not compared image by image, as the test images differ: <code>some</code>" in html
    )
    assert "The numbers alone are compared" in html


@pytest.mark.parametrize(
    ("array", "said"),
    [("x_test", "The test images or their labels are others"),
     ("y_train", "or their labels are others. The test images are the same.")],
)  # fmt: skip
def test_changed_data_are_named(found, array, said):
    older, newer = found.sides
    known = {"x_test": "x", "y_test": "x", "x_train": "x", "y_train": "x"}
    sides = (
        Side(older.name, older.commit, older.results, {FOLDER: known}),
        Side(newer.name, newer.commit, newer.results, {FOLDER: known | {array: "y"}}),
    )
    page = comparison.content(Found(sides=sides), 0.05, None)
    assert page["changed_data"][0]["arrays"] == [array]
    html = " ".join(render.render(page, "comparison.html.jinja").split())
    assert f"{said}" in html
    assert f"Changed arrays: {array}." in html


def test_parameters_are_a_grid_of_variants(found):
    changes = [
        Change("", "dataset.seed", None, 1),
        Change("", "variants.a.train.C", 1.0, 0.0000001),
        Change("", "variants.b.train.C", 1.0, 2.0),
        Change("", "variants.b.evaluate.thresholds", [0.5, 1], [0.2, 1]),
        Change("published/params.yaml", "variants.a.train.seed", 0, 1),
    ]
    page = comparison.content(Found(sides=found.sides, parameters=changes), 0.05, None)
    assert page["parameters"] == {
        "variants": ["a", "b", "published/a"],
        "rows": [
            {"name": "train.C", "cells": [("1", "1e-07"), ("1", "2"), None]},
            {"name": "evaluate.thresholds", "cells": [None, ("0.5, 1", "0.2, 1"), None]},
            {"name": "train.seed", "cells": [None, None, ("0", "1")]},
        ],
    }  # fmt: skip
    none = "\N{EN DASH}"
    assert page["other_parameters"] == [{"name": "dataset.seed", "old": none, "new": "1"}]
    html = render.render(page, "comparison.html.jinja")
    assert "5 parameters changed." in " ".join(html.split())


@pytest.mark.parametrize(
    ("ends", "step"), [(0.0047, 0.002), (0.05, 0.05), (1.0, 1.0), (0.0199, 0.01)]
)
def test_the_axis_has_round_ticks_inside(found, ends, step):
    (one,) = found.comparisons
    fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
    drawn = type(one)(**(fields | {"difference_interval": (-ends, 0.0)}))
    axis = comparison._axis([drawn])
    assert axis["end"] == ends
    assert axis["ticks"] == pytest.approx([-step, 0, step])


def test_the_same_content_gives_the_same_bytes(found, at_hand):
    pages = [
        render.render(comparison.content(found, 0.05, at_hand), "comparison.html.jinja")
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert "default-src 'none'" in pages[0]


def test_a_name_of_a_class_is_no_markup(data):
    names = ("</script><b>", "é & ü", "\N{HEBREW LETTER ALEF}")
    labels = np.array([0, 1, 2, 2], np.uint8)
    sides = tuple(
        Side(name, None, {"some": result(labels, said, names)}, {FOLDER: {}})
        for name, said in (("a", [0, 1, 2, 2]), ("b", [1, 0, 2, 1]))
    )
    pair = tuple(side.results["some"] for side in sides)
    found = Found(sides=sides, comparisons=paired.compare({"some": pair}, 0.05))
    html = render.render(comparison.content(found, 0.05, None), "comparison.html.jinja")
    assert "</script><b>" not in html


def test_two_revisions_that_are_equal_have_an_empty_page():
    sides = tuple(Side(name, None, {}, {}) for name in ("a", "b"))
    html = render.render(
        comparison.content(Found(sides=sides), 0.05, None), "comparison.html.jinja"
    )
    assert "No parameter, metric, prediction or data differs." in html
    assert "<section" not in html


def test_only_known_checksums_tell_that_images_are_others():
    assert not revisions.have_other_images({}, {"x_test": "a"})
    assert not revisions.have_other_images(
        {"x_test": "a", "x_train": "b"}, {"x_test": "a", "x_train": "c"}
    )
    assert revisions.have_other_images({"y_test": "a"}, {"y_test": "b"})
