"""How small a change of all pixels flips an answer."""

import re
from dataclasses import replace

import numpy as np
import pytest

from digits import robustness
from digits.data.dataset import Split
from digits.methods import lenet5
from digits.models.decision import Softmax
from digits.report import content
from digits.robustness import lenet5 as gradient
from digits.robustness import levels as changes
from digits.robustness import linear
from tests.helpers.pages import page_of, random_lenet5, result
from tests.helpers.project import options

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 6, 5)).astype(np.uint8)
SPLIT = Split(IMAGES, np.arange(20, dtype=np.uint8) % 3)


def flipping_changes(model, image, level, thresholds, rng):
    """Return whether any of many changes flips the answer: all of ±level, and others."""
    answer = model.decision.predict(model.scores(image[None]), thresholds)
    steps = rng.integers(-level, level + 1, (400, *image.shape))
    changed = np.clip(image + steps, 0, 255).astype(np.uint8)
    return (model.decision.predict(model.scores(changed), thresholds) != answer).any()


@pytest.mark.parametrize("decision", ["threshold", "sigmoid", "one_vs_rest", "softmax"])
def test_no_smaller_change_of_a_linear_model_flips_an_answer(decision):
    classes = (0, 1) if decision == "sigmoid" else (0, 1, 2)
    each = result("some", decision, classes, SPLIT)
    images = IMAGES[np.isin(SPLIT.labels, classes)]
    levels = robustness.smallest_levels(each.model, images, each.thresholds)
    assert len(set(levels)) > 2
    for image, level in zip(images, levels, strict=True):
        smaller = [other for other in robustness.LEVELS if other < level]
        for other in smaller[-2:]:
            assert not flipping_changes(each.model, image, other, each.thresholds, RNG)


@pytest.mark.parametrize("decision", ["sigmoid", "one_vs_rest", "softmax"])
def test_half_of_the_answers_are_flipped_by_no_smaller_change(decision, monkeypatch):
    classes = (0, 1) if decision == "sigmoid" else (0, 1, 2)
    each = result("some", decision, classes, SPLIT)
    images = IMAGES[np.isin(SPLIT.labels, classes)]
    monkeypatch.setattr(robustness, "LEVELS", range(1, robustness.NEVER))
    levels = robustness.smallest_levels(each.model, images, ())
    half = linear.half_level(each.model, images)
    assert (levels <= half).mean() >= 0.5 > (levels < half).mean()
    same = replace(each.model, coef=np.zeros_like(each.model.coef))
    assert linear.half_level(same, images) == robustness.NEVER


def test_of_equal_scores_the_first_class_wins_in_the_change_as_well():
    each = result("some", "softmax", (0, 1), SPLIT)
    model = type(each.model)(
        mean=np.zeros(30), scale=np.ones(30), intercept=np.array([0.0, 30.0]),
        coef=np.array([np.ones(30), np.zeros(30)]), classes=each.model.classes,
        decision=Softmax(),
    )  # fmt: skip
    dark, light = np.zeros((1, 6, 5), np.uint8), np.full((1, 6, 5), 1, np.uint8)
    assert model.scores(dark).argmax() == 1
    assert robustness.smallest_levels(model, dark, ()) == [1]  # 30 equals 30: class 0
    assert model.scores(light).argmax() == 0
    assert robustness.smallest_levels(model, light, ()) == [1]
    model = type(model)(**vars(model) | {"intercept": np.array([30.0, 0.0])})
    assert robustness.smallest_levels(model, dark, ()) == [robustness.NEVER]


def test_pixels_stay_grey_values():
    image = np.array([0, 3, 250, 255], np.uint8)
    changed = changes.pushed(image, np.array([-1, 1, 1, 1], np.int8), 8)
    assert changed.tolist() == [0, 11, 255, 255]
    assert changed.dtype == np.uint8


def smooth_logits(model, image):
    """Return the logits of an image of any grey values, without rounding down."""
    weights = model.on_grids
    maps = lenet5.pad(image[None])[0, ..., None].astype(float)
    for i in (1, 2):
        kernel = weights[f"kernel_{i}"]
        windows = np.lib.stride_tricks.sliding_window_view(maps, (5, 5), (0, 1))
        sums = np.einsum("yxikl,klio->yxo", windows, kernel) + weights[f"bias_{i}"]
        high, wide = (side // 2 for side in sums.shape[:2])
        cut = np.maximum(sums, 0)[: 2 * high, : 2 * wide]
        maps = cut.reshape(high, 2, wide, 2, -1).max(axis=(1, 3))
    hidden = maps.ravel()
    for i in (1, 2):
        hidden = np.maximum(hidden @ weights[f"dense_{i}"] + weights[f"bias_{i + 2}"], 0)
    return hidden @ weights["dense_3"] + weights["bias_5"]


@pytest.mark.parametrize("shape", [(28, 28), (9, 33)])
def test_the_gradient_of_lenet5_is_that_of_finite_differences(shape):
    model = random_lenet5(shape, seed=1, n_classes=4)
    images = np.random.default_rng(2).integers(1, 255, (2, *shape)).astype(np.uint8)
    for image, signs in zip(images, gradient.gradient_signs(model, images), strict=True):
        logits = smooth_logits(model, image)
        second, first = np.argsort(logits)[-2:]
        differences = []
        for place in [(0, 0), (3, 4), (shape[0] - 1, shape[1] - 1), (5, 20), (8, 27)]:
            leads = []
            for step in (-1e-4, 1e-4):
                moved = image.astype(float)
                moved[place] += step
                changed = smooth_logits(model, moved)
                leads.append(changed[second] - changed[first])
            differences.append((leads[1] - leads[0], signs[place]))
        large = max(abs(difference) for difference, _ in differences)
        clear = [pair for pair in differences if abs(pair[0]) > 1e-4 * large]
        assert len(clear) >= 3
        assert all(np.sign(difference) == sign for difference, sign in clear)


def test_the_signs_of_the_gradient_do_not_depend_on_the_other_images():
    model = random_lenet5((28, 28), seed=1, n_classes=4)
    images = np.random.default_rng(3).integers(0, 256, (9, 28, 28)).astype(np.uint8)
    together = gradient.gradient_signs(model, images)
    for i in range(9):
        assert (gradient.gradient_signs(model, images[[i]])[0] == together[i]).all()


def test_only_the_first_images_are_tried(monkeypatch):
    each = result("some", "softmax", (0, 1, 2), SPLIT)
    levels = robustness.smallest_levels(each.model, IMAGES, ())[:7]
    monkeypatch.setitem(changes.MOST_IMAGES, "linear", 7)
    tried = robustness.smallest_levels(each.model, IMAGES, ())
    assert tried.tolist() == levels.tolist()
    found = content.flips(replace(each, flipped_at=tried))
    assert found["images"] == 7
    assert found["counts"] == [int((levels <= level).sum()) for level in found["levels"]]
    assert found["is_bound"] is False


def sentence(page):
    section = page[page.index('<section id="fool"') :]
    text = re.sub(r"<[^>]+>", " ", section[: section.index("<h3>")])
    return re.sub(r"\s+", " ", text)


def with_counts(name, counts, C=1.0, **kwargs):
    """Return a variant, and what counting its flipped answers gives."""
    each = result(name, "softmax", (0, 1, 2), SPLIT, **kwargs)
    train = options("multinomial_logistic", C=C, max_iter=9, tol=0.1)
    return type(each)(**vars(each) | {"train": train}), counts


@pytest.mark.parametrize(
    ("counts", "said", "unsaid"),
    [
        ([[12, 15, 20], [0, 11, 20]],
         [r"1 grey level of 255 for a; 2 for b\."], ["not even"]),
        ([[1, 2, 9], [0, 0, 10]],
         [r"at most 4 grey levels of 255 for b\.", r"For a, not even 4 grey levels"], []),
        ([[0, 0, 1], [0, 0, 2]], [r"For a, b, not even 4 grey levels"], ["it is enough"]),
        ([[15, 20, 20], [5, 20, 20]],
         [r"75\.0% of the answers of a \(C = 1\) and 25\.0% of those of b \(C = 0\.01\)",
          "makes the model harder to fool"], []),
        ([[5, 20, 20], [15, 20, 20]], ["does not make the model harder to fool"], []),
    ],
)  # fmt: skip
def test_the_sentences_are_chosen_by_the_counts(monkeypatch, counts, said, unsaid):
    results, found = zip(
        with_counts("a", counts[0]),
        with_counts("b", counts[1], C=0.01, seed=1),
        strict=True,
    )
    expected = iter(found)
    monkeypatch.setattr(
        content, "flips",
        lambda *_: {"images": 20, "levels": [1, 2, 4], "counts": next(expected),
                    "is_bound": False},
    )  # fmt: skip
    text = sentence(page_of(results, SPLIT))
    for pattern in said:
        assert re.search(pattern, text), text
    for words in unsaid:
        assert words not in text
