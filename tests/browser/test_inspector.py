"""The inspector of one image, and how it is changed to fool the models, in a browser."""

import re
from dataclasses import replace

import numpy as np
import pytest

from digits import robustness
from digits.data import dataset
from digits.data.dataset import Split
from digits.methods import lenet5
from digits.models import serialization
from digits.robustness.lenet5 import gradient_signs
from digits.robustness.levels import pushed
from tests.helpers.browser import (
    draw,
    opened,
    predictions,
    verdict,
    visit,
    wait_until,
)
from tests.helpers.dvc_yaml import VARIANTS
from tests.helpers.pages import page_of, random_lenet5, result
from tests.helpers.project import ROOT


@pytest.fixture(scope="module")
def test_images(root):
    return dataset.load_split(root / "data/raw/test")


def rested(page, part):
    """Wait until a part of the page is computed."""
    page.wait_for_timeout(150)
    wait_until(page, f"document.querySelector('{part}').ariaBusy === 'false'")


def choose(page, number):
    page.locator("#image-number").fill(str(number))
    page.locator("#image-number").press("Enter")


def ink_of(canvas):
    """Return the opacity of each pixel."""
    return canvas.evaluate(
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width,"
        " canvas.height).data).filter((_, i) => i % 4 === 3)"
    )


def thresholds_of(variant):
    """Return the thresholds in params.yaml, which the tests share with the project."""
    if variant == "linear_binary":
        return (0.49,)
    return tuple(i + 0.5 for i in range(9)) if variant == "linear_digits" else ()


def smallest_change(model, image, thresholds):
    """Return the smallest ε that flips an answer, by trying each: 256 if none does."""
    pixels = image.ravel().astype(int)
    answer = model.decision.predict(model.scores(image[None]), thresholds)[0]
    weights, offset = model.weights, model.offset
    if len(weights) == 1:
        directions = np.sign([weights[0], -weights[0]])
    else:
        directions = np.sign(np.delete(weights, answer, axis=0) - weights[answer])
    for level in range(1, 256):
        scores = np.clip(pixels + level * directions, 0, 255) @ weights.T + offset
        if (model.decision.predict(scores, thresholds) != answer).any():
            return level
    return 256


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_smallest_change_that_flips_an_answer_is_numpys(
    page, root, test_images, variant
):
    model = serialization.load(root / f"data/models/{variant}.npz")
    thresholds = thresholds_of(variant)
    for number in (0, 3, 7, 20):
        image = test_images.images[number]
        found = page.evaluate(f"digits.fool('{variant}', {number})")
        expected = smallest_change(model, image, thresholds)
        assert (found["level"] or 256) == expected
        if found["level"] is None:
            continue
        direction = np.reshape(found["direction"], image.shape)
        before, *after = (
            model.decision.predict(
                model.scores(pushed(image, direction, level)[None]), thresholds
            )[0]
            for level in (0, expected - 1, expected)
        )
        assert after[0] == before != after[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_shares_of_flipped_answers_are_numpys(page, root, test_images, variant):
    model = serialization.load(root / f"data/models/{variant}.npz")
    images = test_images.images[np.isin(test_images.labels, model.classes)]
    some = images[:24]
    levels = robustness.smallest_levels(model, images, thresholds_of(variant))
    tried = np.array([*robustness.LEVELS, robustness.NEVER])
    for image, level in zip(some, levels, strict=False):
        exact = smallest_change(model, image, thresholds_of(variant))
        assert level == tried[np.searchsorted(tried, exact)]
    row = page.locator(".flips tr", has=page.get_by_text(variant, exact=False)).first
    shown = row.locator("td").all_inner_texts()
    shares = [(levels <= level).mean() for level in robustness.LEVELS]
    assert shown == [as_a_short_percentage(share) for share in shares]
    assert f"{len(images):,} images" in row.inner_text()


def as_a_short_percentage(share):
    if share in {0, 1}:
        return f"{100 * share:.0f}%"
    return "<0.1%" if share < 0.001 else f"{min(100 * share, 99.9):.1f}%"


@pytest.fixture(scope="module", params=[(28, 28), (8, 9), (41, 22)])
def network(request, chromium, tmp_path_factory):
    """A page with a random LeNet-5 alone: its page, its model and its images."""
    shape = request.param
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (14, *shape)).astype(np.uint8)
    images[0] = 0
    images[1:8][rng.random((7, *shape)) < 0.8] = 0  # ink on an empty ground
    split = Split(images, np.arange(14, dtype=np.uint8) % 3)
    model = random_lenet5(shape)
    scores = model.scores(images)
    predicted = scores.argmax(axis=1).astype(np.uint8)
    each = replace(
        result("net", "softmax", (0, 1, 2), split),
        model=model, scores=scores, predicted=predicted,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("network")
    (folder / "report").mkdir()
    (folder / "report/index.html").write_text(page_of([each], split))
    with opened(chromium, folder) as page:
        yield page, model, images
        assert page.seen == []


@pytest.mark.slow
def test_the_gradient_of_lenet5_is_numpys_in_each_sign(network):
    page, model, images = network
    signs = gradient_signs(model, images)
    for number, expected in enumerate(signs):
        found = page.evaluate(f"digits.fool('net', {number})")
        assert found["direction"] == expected.ravel().tolist()
        answer = model.scores(images[[number]]).argmax()
        for level in range(1, 256):
            changed = pushed(images[[number]], expected, level)
            if model.scores(changed).argmax() != answer:
                break
        else:
            level = None
        assert found["level"] == level


def activations(maps, kernel, bias):
    """Return the maps of a convolution, computed as its definition says."""
    side = kernel.shape[0]
    high, wide = maps.shape[0] - side + 1, maps.shape[1] - side + 1
    sums = np.zeros((high, wide, kernel.shape[3])) + bias
    for y in range(side):
        for x in range(side):
            sums += maps[y : y + high, x : x + wide] @ kernel[y, x]
    return np.maximum(np.floor(sums), 0)


def halved(maps):
    high, wide = maps.shape[0] // 2, maps.shape[1] // 2
    cut = maps[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, -1)
    return cut.max(axis=(1, 3))


def layers(model, image):
    weights = model.on_grids
    maps = lenet5.pad(image[None])[0, ..., None].astype(float)
    found = []
    for i in (1, 2):
        found.append(activations(maps, weights[f"kernel_{i}"], weights[f"bias_{i}"]))
        maps = halved(found[-1])
        found.append(maps)
    return found


@pytest.mark.slow
def test_the_maps_of_lenet5s_layers_are_numpys(network):
    page, model, images = network
    for number in (0, 3, 9):
        found = page.evaluate(f"digits.layers('net', {number})")
        for (values, high, wide), expected in zip(
            found, layers(model, images[number]), strict=True
        ):
            assert (high, wide) == expected.shape[:2]
            assert values == expected.ravel().tolist()
    choose(page, 3)
    rested(page, "#network")
    shown = page.locator(".layer").nth(2).locator("canvas")
    assert shown.count() == 16
    ink = ink_of(shown.nth(5))
    maps = layers(model, images[3])[2]
    expected = np.floor(255 * maps[..., 5].ravel() / maps.max() + 0.5)
    assert np.abs(np.array(ink) - expected).max() <= 1


@pytest.mark.slow
def test_the_occlusion_map_is_numpys(network):
    page, model, images = network
    for number in (2, 9):
        image = images[number]
        high, wide = (-(-side // 7) for side in image.shape)
        scores = model.scores(image[None])[0]
        answer = scores.argmax()

        def lead(image, answer=answer):
            scores = model.scores(image[None])[0]
            return scores[answer] - np.delete(scores, answer).max()

        expected = np.zeros(image.shape)
        for y in range(0, image.shape[0], high):
            for x in range(0, image.shape[1], wide):
                patch = (slice(y, y + high), slice(x, x + wide))
                without = image.copy()
                without[patch] = 0
                expected[patch] = lead(image) - lead(without)
        found = page.evaluate(f"digits.occlusion('net', {number})")
        np.testing.assert_array_equal(found, expected.ravel())
        assert np.ptp(expected) > 0


def nearest(images, pixels, number=None):
    distances = ((images.astype(int) - pixels.astype(int)) ** 2).sum(axis=(1, 2))
    if number is not None:
        distances[number] = distances.max() + 1
    return np.argsort(distances, kind="stable")[:10].tolist()


def test_the_most_similar_images_are_numpys_and_are_inspected_in_place(page, test_images):
    images, labels = test_images
    for number in (0, 5):
        assert page.evaluate(f"digits.nearest({number})") == nearest(
            images, images[number], number
        )
    other = np.roll(images[7], 1, axis=1)
    found = page.evaluate("image => digits.nearest(image)", other.ravel().tolist())
    assert found == nearest(images, other)
    choose(page, 5)
    rested(page, "#neighbours")
    expected = nearest(images, images[5], 5)
    shown = page.locator("#neighbours .image")
    values = [int(value) for value in shown.evaluate_all("all => all.map((b) => b.value)")]
    assert values == expected
    said = page.locator("#neighbours-text").inner_text()
    label, count = max(
        ((int(k), int((labels[expected] == k).sum())) for k in set(labels[expected])),
        key=lambda pair: pair[1],
    )
    assert f"{count} {'is' if count == 1 else 'are'} of class {label}" in said
    shown.nth(2).click()
    assert page.locator("#image-number").input_value() == str(expected[2])
    assert page.locator("#inspector.open").count() == 0


def test_the_inspector_follows_a_drawing(page):
    page.locator("#clear").click()
    page.locator("#inspect-drawing").click()
    assert page.locator("#inspector.open #image-empty").is_visible()
    assert not page.locator("#inspector-content").is_visible()
    page.locator("#canvas").scroll_into_view_if_needed()
    page.evaluate(
        """() => { const canvas = document.getElementById("canvas");
          const box = canvas.getBoundingClientRect();
          canvas.setPointerCapture = () => {};
          for (const [type, x, y] of [["pointerdown", 0.3, 0.2], ["pointermove", 0.5, 0.8],
            ["pointerup", 0.5, 0.8]]) {
            canvas.dispatchEvent(new PointerEvent(type, { pointerId: 1, button: 0,
              bubbles: true, clientX: box.left + x * box.width,
              clientY: box.top + y * box.height }));
          } }"""
    )
    rested(page, "#neighbours")
    assert (
        page.locator("#image-result").inner_text() == "Your drawing, as the models see it."
    )
    for name in VARIANTS:
        cells = page.locator("#answers tr", has_text=name).locator("td").all_inner_texts()
        assert len(cells) == 2  # without a mark: nobody knows the class
        assert verdict(page, name) in {cells[0], "none"}
    drawn = np.array(page.evaluate("digits.modelInput()"))
    outline = page.locator("#evidence .outline").first.get_attribute("d")
    assert outline.count("M") >= 4
    assert drawn.max() > 96
    page.keyboard.press("Escape")
    assert page.locator("#inspector.open").count() == 0
    assert "image=drawing" in page.evaluate("location.hash")
    page.locator("#clear").click()
    wait_until(page, "!document.getElementById('image-empty').hidden")
    visit(page, "drawing=image-3&image=drawing")
    rested(page, "#neighbours")
    assert page.locator("#image-result").inner_text().startswith("Test image 3, actual")


def test_the_slider_changes_the_image_and_says_what_is_true(page, root, test_images):
    images, _ = test_images
    name = "one_vs_rest"
    model = serialization.load(root / f"data/models/{name}.npz")
    page.locator("#fool-variant").select_option(name)
    choose(page, 4)
    rested(page, "#fool-live")
    found = page.evaluate(f"digits.fool('{name}', 4)")
    level, direction = found["level"], np.reshape(found["direction"], images[4].shape)
    before = int(model.scores(images[[4]]).argmax())
    slider = page.locator("#fool-level")
    result = page.locator("#fool-result")
    assert slider.input_value() == str(level)
    for tried in (level, level - 1, level + 2, 0):
        slider.fill(str(tried))
        changed = pushed(images[4], direction, tried)
        after = int(model.scores(changed[None]).argmax())
        levels = f"{tried} grey level{'' if tried == 1 else 's'}"
        if tried == 0:
            assert result.inner_text() == f"Unchanged: {name} says {before}."
        elif tried < level:
            expected = (
                f"No change of at most {levels} flips the answer of {name}, {before}."
            )
            assert result.inner_text() == expected
        else:
            text = f"With {levels}, {name} says {after} instead of {before}."
            assert result.inner_text().startswith(text)
            assert ("No smaller change" in result.inner_text()) == (tried == level)
        assert page.locator("#fool-output").inner_text() == levels
        ink = ink_of(page.locator("#fool-images canvas").last)
        assert ink == changed.ravel().tolist()
        for other in VARIANTS:
            cells = page.locator("#fool-models tr", has_text=other).locator("td")
            own = page.evaluate(f"digits.fool('{other}', 4).level")
            label = page.evaluate(
                "([name, image]) => digits.predict(name, image)",
                [other, changed.ravel().tolist()],
            )
            shown = cells.all_inner_texts()
            assert shown[1].split(",")[0] == str(label)
            assert ("flipped" in shown[1]) == (str(label) != shown[0])
            assert shown[2] == ("never" if own is None else str(own))
    page.locator("#fool-smallest").click()
    assert slider.input_value() == str(level)
    page.locator("#fool-after").click()
    assert page.locator("#image-number").input_value() == "5"
    assert page.locator("#fool-image").inner_text() == "Test image 5"


@pytest.mark.slow
def test_a_drawing_can_be_changed_to_fool_a_model(page):
    page.locator("#clear").click()
    page.locator("#fool-drawing").click()
    assert page.locator("#fool-empty").is_visible()
    assert not page.locator("#fool-live").is_visible()
    draw(page, (0.3, 0.3), (0.7, 0.3), (0.4, 0.8))
    rested(page, "#fool-live")
    assert page.locator("#fool-image").inner_text() == "Your drawing"
    name = page.locator("#fool-variant").input_value()
    said = page.locator("#fool-result").inner_text()
    level = page.evaluate(f"digits.fool('{name}', digits.modelInput()).level")
    assert re.match(rf"With {level} grey levels?, {name} says \d instead of \d\.", said)


@pytest.mark.slow
def test_a_view_of_the_inspector_is_restored_from_its_url(chromium, page, root):
    page.locator("#data .image").nth(12).click()
    page.locator("#fool-variant").select_option("multinomial")
    page.locator("#fool-level").fill("3")
    page.wait_for_url(re.compile("level=3"))
    rested(page, "#fool-live")
    with opened(chromium, root, page.evaluate("location.hash")) as other:
        rested(other, "#fool-live")
        for part in ("#image-result", "#fool-result", "#fool-models"):
            assert other.locator(part).inner_text() == page.locator(part).inner_text(), part
        assert other.locator("#inspector.open").count() == 1
        other.locator("#inspector-close").click()
        assert other.locator("#inspector.open").count() == 0
        for wrong in ("panel=x", "level=-1", "level=x", "fooled=none", "image=drawings"):
            visit(other, wrong)
            assert other.locator("#inspector.open").count() == 0
        assert other.seen == []


@pytest.mark.slow
def test_each_part_is_there_only_with_a_model_for_it(chromium, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 9, 7)).astype(np.uint8)
    split = Split(images, np.arange(12, dtype=np.uint8) % 2)
    linear = result("linear", "sigmoid", (0, 1), split)
    static = replace(linear, name="static", model=None)
    (tmp_path / "report").mkdir()
    for results, parts in (
        ([linear], {"image", "neighbours", "fool", "evidence"}),
        ([static], {"image", "neighbours"}),
        ([linear, static], {"image", "neighbours", "fool", "evidence"}),
    ):
        (tmp_path / "report/index.html").write_text(page_of(results, split))
        with opened(chromium, tmp_path) as page:
            for part in ("image", "neighbours", "fool", "evidence", "network"):
                assert page.locator(f"#{part}").count() == (part in parts), part
            choose(page, 3)
            rested(page, "#neighbours")
            assert page.locator("#neighbours .image").count() == 10
            page.locator("#data .image").nth(1).click()
            assert page.locator("#inspector.open").count() == 1
            assert page.seen == []


@pytest.mark.results
def test_lenet5_is_fooled_on_mnist_as_in_numpy(chromium):
    images = dataset.load_split(ROOT / "data/raw/test").images[:20]
    model = serialization.load(ROOT / "data/models/lenet5.npz")
    signs = gradient_signs(model, images)
    levels = robustness.smallest_levels(model, images, ())
    with opened(chromium, ROOT) as page:
        for number in range(20):
            found = page.evaluate(f"digits.fool('lenet5', {number})")
            assert found["direction"] == signs[number].ravel().tolist()
            tried = [level for level in robustness.LEVELS if level >= found["level"]]
            assert levels[number] >= min(tried, default=robustness.NEVER)
        assert predictions(ROOT, "lenet5")["predicted"][0] == page.evaluate(
            "digits.predict('lenet5', 0)"
        )
