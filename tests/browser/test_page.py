"""The report page in a browser, on the generated data and on MNIST."""

import csv
import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from digits.config import params
from digits.data import dataset
from digits.data.dataset import Split
from digits.images import mnist_format
from digits.images.mnist_format import fit_to_frame, to_mnist_format
from digits.models import serialization
from digits.thresholds import best_thresholds
from stages import evaluate
from tests.helpers.browser import (
    MINUS,
    NONE,
    draw,
    opened,
    opened_in_firefox,
    predictions,
    table,
    verdict,
    visit,
    wait_until,
)
from tests.helpers.dvc_yaml import VARIANTS
from tests.helpers.pages import page_of, random_lenet5, result
from tests.helpers.project import ROOT


def shown(page, container):
    """Return the counts of a confusion matrix on the page."""
    cells = page.locator(f"{container} button.cell").evaluate_all(
        "cells => cells.map((cell) => [cell.value, cell.textContent])"
    )
    return {name: int(text.replace(",", "")) for name, text in cells}


def at_the_start(root):
    """Return the variant that the page shows first, which is the last one."""
    return list(params.load(root / "params.yaml").variants)[-1]


def test_the_page_loads_nothing_and_logs_no_error(chromium, root):
    with opened(chromium, root) as page:
        for link in page.locator("nav a").all():
            link.click()
        page.locator("#noise").click()
        assert page.seen == []


SCORE = """
([name, text, size]) => {
  const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const images = Array.from({ length: pixels.length / size },
    (_, i) => pixels.subarray(i * size, (i + 1) * size));
  return images.map((image) => [digits.scores(name, image), digits.predict(name, image)]);
}
"""


def computed(page, variant, images):
    """Return the scores and the labels that the page's own functions compute."""
    scores, labels = [], []
    for start in range(0, len(images), 1000):
        text = b64encode(images[start : start + 1000].tobytes()).decode()
        found = page.evaluate(SCORE, [variant, text, images[0].size])
        scores += [row for row, _ in found]
        labels += [label for _, label in found]
    return np.array(scores), np.array(labels)


def scores_are_the_pipelines(page, root, variant):
    images, labels = dataset.load_split(root / "data/raw/test")
    scores, answers = computed(page, variant, images)
    model = serialization.load(root / f"data/models/{variant}.npz")
    assert (scores == model.scores(images)).all()
    expected = predictions(root, variant)
    rows = np.isin(labels, model.classes)
    assert (scores[rows] == expected["scores"]).all()
    assert (answers[rows] == expected["predicted"]).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_computed_in_the_browser_equal_the_pipelines(page, root, variant):
    scores_are_the_pipelines(page, root, variant)


def test_an_older_browser_computes_the_same_scores(chromium, root):
    window = chromium.new_context(offline=True)
    page = window.new_page()
    page.add_init_script("delete Uint8Array.fromBase64")
    page.goto((root / "report/index.html").as_uri())
    wait_until(page, "window.digits !== undefined")
    scores_are_the_pipelines(page, root, VARIANTS[0])
    window.close()


@pytest.mark.results
def test_lenet5s_scores_computed_in_the_browser_equal_the_pipelines(chromium):
    with opened(chromium, ROOT) as page:
        scores_are_the_pipelines(page, ROOT, "lenet5")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_weights_of_any_size_give_the_same_scores_in_the_browser(chromium, tmp_path, size):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (99, 28, 28)).astype(np.uint8)
    split = Split(images, np.arange(99, dtype=np.uint8) % 3)
    each = result("some", "softmax", (0, 1, 2), split)
    model = replace(each.model, coef=each.model.coef * size)
    each = replace(each, model=model)
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of([each], split))
    with opened(chromium, tmp_path) as page:
        scores, _ = computed(page, "some", images)
        assert (scores == model.scores(images)).all()
        assert page.seen == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_most_frequent_mistake_is_named_with_those_as_frequent(page, root, variant):
    page.locator("#confusion-variant").select_option(variant)
    counts = table(root / f"metrics/{variant}/confusion.csv")
    wrong = {cell: count for cell, count in counts.items() if len({*cell.split("-")}) == 2}
    most = max(wrong.values())
    said = page.locator("#confusion-answer").inner_text()
    if not most:
        assert said.endswith(" makes no mistakes on the test images.")
        return
    assert re.search(rf" for \S+: {most} of [0-9,]+ test images? of ", said)
    n_others = [*wrong.values()].count(most) - 1
    tie = f"{n_others} other pairs? of classes ha(ve|s) as many mistakes."
    assert bool(re.search(tie, said)) == (n_others > 0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cell_shows_as_many_images_as_its_count(page, root, variant):
    page.locator("#confusion-variant").select_option(variant)
    counts = table(root / f"metrics/{variant}/confusion.csv")
    assert shown(page, "#confusion-matrix") == counts
    by_count = sorted(counts, key=counts.get)
    actual = predictions(root, variant)["actual"]
    predicted = predictions(root, variant)["predicted"]
    digits = dataset.load_split(root / "data/raw/test").labels
    numbers = np.flatnonzero(np.isin(digits, np.unique(actual)))
    for cell in {by_count[0], by_count[len(by_count) // 2], *by_count[-2:]}:
        page.locator(f"#confusion-matrix button[value='{cell}']").click()
        if counts[cell] > 200:
            page.locator("#cell-images .more").click()
        images = page.locator("#cell-images .image").evaluate_all(
            "buttons => buttons.map((button) => Number(button.value))"
        )
        assert len(images) == counts[cell]
        is_, called = map(int, cell.split("-"))
        assert images == numbers[(actual == is_) & (predicted == called)].tolist()


def set_threshold(page, value, index=0, group="two"):
    page.locator(f"#{group}-threshold-{index}").fill(str(value))


@pytest.mark.parametrize("threshold", [0.49, 0.3, 0.0])
def test_the_slider_shows_what_evaluate_computes(page, root, tmp_path, threshold):
    for name in ("data/models", "data/subsets"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(root / name)
    text = (root / "params.yaml").read_text()
    changed = text.replace("threshold: 0.49", f"threshold: {threshold}")
    (tmp_path / "params.yaml").write_text(changed)
    evaluate.main(params.load(tmp_path / "params.yaml"), "linear_binary", tmp_path)

    page.locator("#two-variant").select_option("linear_binary")
    page.locator("#two-reset").click()
    assert shown(page, "#two-matrix") == table(root / "metrics/linear_binary/confusion.csv")
    set_threshold(page, 0.7)
    set_threshold(page, threshold)
    counts = table(tmp_path / "metrics/linear_binary/confusion.csv")
    assert shown(page, "#two-matrix") == counts
    errors = sum(n for cell, n in counts.items() if len(set(cell.split("-"))) == 2)
    assert f": {errors} error" in page.locator("#two-result").inner_text()
    with (tmp_path / "metrics/linear_binary/report.csv").open() as file:
        expected = [
            [row["class"], f"{float(row['precision']):.4f}", f"{float(row['recall']):.4f}"]
            for row in csv.DictReader(file)
        ]
    rows = page.locator("#two-report tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].slice(0, 3).map((c) => c.textContent))"
    )
    assert rows == expected


def test_each_of_many_thresholds_moves_between_its_neighbours(page, root):
    page.locator("#many-variant").select_option("linear_digits")
    expected = table(root / "metrics/linear_digits/confusion.csv")
    assert shown(page, "#many-matrix") == expected
    set_threshold(page, 3, index=2, group="many")
    scores = predictions(root, "linear_digits")
    thresholds = [0.5, 1.5, 3, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]
    predicted = np.searchsorted(thresholds, scores["scores"][:, 0])
    pairs = Counter(zip(scores["actual"].tolist(), predicted.tolist(), strict=True))
    assert shown(page, "#many-matrix") == {
        f"{i}-{j}": pairs[i, j] for i in range(10) for j in range(10)
    }
    set_threshold(page, 9, index=2, group="many")
    assert page.locator("#many-sliders output").nth(2).inner_text() == "3.50"
    assert page.locator("#many-threshold-2").input_value() == "3.5"


def test_a_button_sets_the_best_of_several_thresholds(page, root):
    page.locator("#many-variant").select_option("linear_digits")
    scores = predictions(root, "linear_digits")
    thresholds, right = best_thresholds(scores["scores"][:, 0], scores["actual"], 10)
    predicted = np.searchsorted(thresholds, scores["scores"][:, 0])
    text = page.locator("#many-best-result").inner_text()
    total = len(predicted)
    assert f"classify {right:,} of {total:,} correctly ({right / total:.2%})" in text
    assert ", ".join(map(str, thresholds)).replace(".0,", ",").replace("-", MINUS) in text
    linear = ("one_vs_rest", "multinomial")
    best = {
        name: (each["actual"] == each["predicted"]).sum()
        for name, each in ((name, predictions(root, name)) for name in linear)
    }
    name = max(linear, key=best.__getitem__)
    assert f"{name}, a linear model with a score for each class" in text
    assert f"classifies {best[name]:,} correctly" in text
    page.locator("#many-best-set").click()
    pairs = Counter(zip(scores["actual"].tolist(), predicted.tolist(), strict=True))
    assert shown(page, "#many-matrix") == {
        f"{i}-{j}": pairs[i, j] for i in range(10) for j in range(10)
    }
    page.locator("#many-reset").click()
    assert page.locator("#many-sliders output").nth(2).inner_text() == "2.50"


def test_a_threshold_is_dragged_with_the_mouse(page):
    page.locator("#two-variant").select_option("linear_binary")
    grip = page.locator("#two-ridges .threshold-grip")
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    value = float(page.locator("#two-sliders output").first.inner_text())
    assert value > 0.5
    cell = page.locator("#two-matrix button").nth(1)
    cell.click()
    count = int(cell.inner_text())
    assert page.locator("#two-cell-images button").count() == count


@pytest.mark.slow
@pytest.mark.parametrize("size", [(28, 28), (8, 8), (41, 22)])
def test_a_network_predicts_in_the_browser_as_in_python(chromium, tmp_path, size):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, *size)).astype(np.uint8)
    images[0] = 0
    split = Split(images, np.arange(6, dtype=np.uint8) % 3)
    model = random_lenet5(size)
    assert model.problem() is None
    scores = model.scores(images)
    each = replace(
        result("net", "softmax", (0, 1, 2), split),
        model=model,
        scores=scores,
        predicted=scores.argmax(axis=1).astype(np.uint8),
    )
    static = replace(each, name="static", model=None)  # the page cannot run it
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of([each, static], split))
    with opened(chromium, tmp_path) as page:
        found = page.evaluate("digits.images('net').map((i) => digits.scores('net', i))")
        np.testing.assert_array_equal(found, scores)
        answers = page.evaluate("digits.images('net').map((i) => digits.predict('net', i))")
        assert answers == each.predicted.tolist()
        assert page.locator("#weights, #evidence").count() == 0
        page.locator("#image-number").fill("1")
        page.locator("#image-number").press("Enter")
        assert page.locator("#answers tbody tr").count() == 2
        page.locator("#noise").click()
        assert verdict(page, "net") in {"0", "1", "2"}
        assert page.locator("article .verdict").count() == 1
        assert page.seen == []


@pytest.mark.slow
def test_the_kernels_of_an_epoch_are_shown(chromium, tmp_path):
    images = np.zeros((3, 8, 8), np.uint8)
    split = Split(images, np.arange(3, dtype=np.uint8))
    model = random_lenet5((8, 8))
    steps = np.random.default_rng(1).normal(0, 0.3, (3, *model.kernel_1.shape))
    kernels = np.stack([model.kernel_1 - steps[1] - steps[2], model.kernel_1 - steps[2],
                        model.kernel_1]).astype(np.float32)  # fmt: skip
    scores = model.scores(images)
    each = replace(
        result("net", "softmax", (0, 1, 2), split),
        model=replace(model, kernels=kernels),
        scores=scores,
        predicted=scores.argmax(axis=1).astype(np.uint8),
    )
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of([each], split))
    with opened(chromium, tmp_path) as page:

        def is_positive():
            """Of each value whether its colour is the one for positive values."""
            shown = page.locator("#lenet5-kernels canvas").evaluate_all(
                """canvases => canvases.map((canvas) => [...canvas.getContext("2d")
                  .getImageData(0, 0, 5, 5).data])"""
            )
            colours = np.array(shown).reshape(6, 25, 4)
            return colours[..., 2] >= colours[..., 0]  # blue, or white

        slider = page.locator("#lenet5-epoch")
        slider.focus()
        for key, epoch, text in (
            ("End", 2, "2 of 2"), ("ArrowLeft", 1, "1 of 2"), ("Home", 0, "none")
        ):  # fmt: skip
            page.keyboard.press(key)
            assert slider.get_attribute("aria-valuetext").startswith(text)
            flat = kernels[epoch].reshape(25, 6).T
            clear = np.abs(flat) > np.abs(kernels).max() / 50
            assert (is_positive() == (flat > 0))[clear].all()
            said = page.locator("#lenet5-change").inner_text()
            r = np.corrcoef(kernels[epoch].ravel(), kernels[0].ravel())[0, 1]
            assert f"is {r:.2f}.".replace("-", MINUS) in said if epoch else not said
        page.wait_for_url(re.compile("epoch=0"))
        visit(page, "epoch=1")
        assert slider.input_value() == "1"
        visit(page, "epoch=99")
        assert slider.input_value() == "2"
        assert page.seen == []


@pytest.mark.slow
def test_one_of_several_networks_is_chosen_and_kept_in_the_address(chromium, tmp_path):
    images = np.zeros((3, 8, 8), np.uint8)
    split = Split(images, np.arange(3, dtype=np.uint8))
    results = []
    for seed, name in enumerate(("first", "second")):
        model = random_lenet5((8, 8), seed)
        scores = model.scores(images)
        predicted = scores.argmax(axis=1).astype(np.uint8)
        results.append(replace(
            result(name, "softmax", (0, 1, 2), split),
            model=model, scores=scores, predicted=predicted,
        ))  # fmt: skip
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of(results, split))
    with opened(chromium, tmp_path) as page:
        assert page.locator("#lenet5-epoch").is_hidden()  # nothing was recorded
        caption = page.locator("#lenet5-layers caption")
        assert caption.text_content() == "Layers of first"
        page.locator("#lenet5-variant").select_option("second")
        assert caption.text_content() == "Layers of second"
        page.wait_for_url(re.compile("lenet5Variant=second"))
        page.emulate_media(color_scheme="dark")  # draws the kernels in other colours
        assert caption.text_content() == "Layers of second"
        with opened(chromium, tmp_path, page.evaluate("location.hash")) as other:
            assert other.locator("#lenet5-variant").input_value() == "second"
            assert (
                other.locator("#lenet5-layers caption").text_content() == "Layers of second"
            )
        page.go_back()
        wait_until(page, "!location.hash.includes('second')")
        assert caption.text_content() == "Layers of first"


@pytest.mark.slow
def test_a_drawing_is_normalised_as_in_python(page, root):
    shape = dataset.load_split(root / "data/raw/test").images.shape[1:]
    bring = to_mnist_format if root == ROOT else fit_to_frame
    rng = np.random.default_rng(0)
    for turn in range(60):
        high, wide = rng.integers(12, 90, 2)
        drawing = np.zeros((high, wide), np.uint8)
        for _ in range(3):
            top, left = rng.integers(0, high - 4), rng.integers(0, wide - 4)
            part = drawing[top : top + high // 3, left : left + wide // 4]
            part[:] = rng.integers(0, 256, part.shape)
        if turn % 2:  # symmetric, so that its centre and many of its pixels are halves
            drawing = np.where(drawing | drawing[:, ::-1], 255, 0).astype(np.uint8)
        expected = bring(drawing, shape)
        framed = page.evaluate(
            "([grey, high, wide]) => digits.toImageFormat(grey, high, wide)",
            [drawing.ravel().tolist(), int(high), int(wide)],
        )
        assert framed == expected.ravel().tolist()
    assert page.evaluate("digits.toImageFormat([0, 0, 0, 0], 2, 2)") is None


@pytest.mark.slow
def test_lines_are_removed_from_a_drawing_as_in_python(chromium, tmp_path):
    split = Split(np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8))
    each = result("softmax", "softmax", (0, 1, 2), split)
    (tmp_path / "report").mkdir()
    page_text = page_of([each], split, name="mnist", mnist_like=True)
    (tmp_path / "report/index.html").write_text(page_text)
    rng = np.random.default_rng(0)
    n_changed = 0
    with opened(chromium, tmp_path) as page:
        for turn in range(80):
            high, wide = rng.integers(12, 90, 2)
            drawing = np.zeros((high, wide), np.uint8)
            for _ in range(rng.integers(1, 4)):  # strokes, thin and thick, some at a border
                top, left = rng.integers(0, high - 4), rng.integers(0, wide - 4)
                part = drawing[top : top + high // 3, left : left + rng.integers(2, wide)]
                part[:] = rng.integers(60, 256)
            for _ in range(rng.integers(0, 4)):  # lines, a bit slanted, some interrupted
                columns = np.arange(wide)
                rows = rng.integers(0, high) + (columns * rng.normal(0, 0.05)).astype(int)
                thick = rng.integers(1, 5)
                kept = rng.random(wide) < rng.choice([1, 0.99, 0.8])
                for i in range(thick):
                    inside = kept & (rows + i < high) & (rows + i >= 0)
                    drawing[(rows + i)[inside], columns[inside]] = rng.integers(60, 256)
            if turn % 2:
                drawing = np.ascontiguousarray(drawing.T)
            expected = to_mnist_format(drawing)
            high, wide = drawing.shape
            framed = page.evaluate(
                "([grey, high, wide]) => digits.toImageFormat(grey, high, wide)",
                [drawing.ravel().tolist(), int(high), int(wide)],
            )
            assert framed == expected.ravel().tolist()
            n_changed += (mnist_format.remove_lines(drawing) != drawing).any()
    assert 20 < n_changed < 70


def test_drawing_clearing_noise_and_a_test_image(page, root):
    page.locator("#clear").click()
    assert verdict(page, "multinomial") == NONE
    draw(page, (0.3, 0.3), (0.7, 0.6))
    assert verdict(page, "multinomial").isdigit()
    page.locator("#noise").click()
    first = page.evaluate("digits.modelInput()")
    page.locator("#noise").click()
    assert page.evaluate("digits.modelInput()") != first
    assert np.std(first) > 50
    page.locator("#random-image").click()
    caption = page.locator("#model-input-caption").inner_text()
    number = int(re.search(r"image (\d+)", caption)[1])
    images = dataset.load_split(root / "data/raw/test").images
    assert page.evaluate("digits.modelInput()") == images[number].ravel().tolist()


def card_of(page, variant):
    heading = page.get_by_role("heading", name=variant, exact=True)
    return page.locator("article.prediction", has=heading)


def as_the_page(share):
    """Return a model's probability as the page writes it."""
    if share < 0.0005:
        return "<0.1%"
    return f"{100 * share:.1f}%" if share < 0.9995 else ">99.9%"


@pytest.mark.slow
def test_one_versus_rest_shows_the_answers_of_its_models(page):
    """On noise all say no; on an image of an unknown number some say yes."""
    card = card_of(page, "one_vs_rest")
    seen = set()
    for drawing in [f"noise-{i}" for i in range(1, 9)] + [f"image-{i}" for i in range(24)]:
        visit(page, f"drawing={drawing}")
        scores = np.array(
            page.evaluate("digits.scores('one_vs_rest', digits.modelInput())")
        )
        own = 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
        cells = card.locator("tbody tr td:nth-child(3)").all_inner_texts()
        assert cells == [as_the_page(share) for share in own]
        nearest, n_yes = int(scores.argmax()), int((scores > 0).sum())
        said = card.locator("header + .certainty").inner_text()
        seen.add(min(n_yes, 2))
        if n_yes == 0:
            assert verdict(page, "one_vs_rest") == "none"
            assert said == f"all say no; nearest: {nearest}"
        elif n_yes == 1:
            assert verdict(page, "one_vs_rest") == str(nearest)
            assert said == f"yes, probability {as_the_page(own[nearest])}"
        else:
            assert said.startswith(f"{n_yes} models say yes")
        if own.sum() > 0:
            shared = as_the_page(own[nearest] / own.sum())
            expected = f"Divided by the sum of all: {shared} for {nearest}."
            assert card.locator("p").inner_text() == expected
    assert {0, 1} <= seen


def test_probabilities_are_drawn_on_one_scale_and_never_written_as_100(page):
    for seed in (1, 2, 3):
        visit(page, f"drawing=noise-{seed}")
        tracks = page.locator(".prediction tbody .track").evaluate_all(
            "all => all.map((cell) => cell.getBoundingClientRect().width.toFixed(1))"
        )
        assert len(set(tracks)) == 1
        shown = page.locator("#predictions").inner_text()
        assert "100.0%" not in shown
        assert " 0.0%" not in shown
        bars = page.locator(".prediction .bar").evaluate_all(
            """all => all.map((bar) => [bar.getBoundingClientRect().width,
              Number(bar.style.getPropertyValue("--share"))])"""
        )
        (scale,) = {round(width / share) for width, share in bars if share > 0.5}
        assert all(width == pytest.approx(scale * share, abs=1) for width, share in bars)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (512, 384)])
def test_all_predictions_are_in_sight_while_one_draws(chromium, root, size):
    viewport = {"width": size[0], "height": size[1]}
    with opened(chromium, root, viewport=viewport) as page:
        page.locator("#canvas").evaluate("canvas => canvas.scrollIntoView()")
        draw(page, (0.3, 0.3), (0.7, 0.6))
        page.locator("#canvas").evaluate("canvas => canvas.scrollIntoView()")
        names = page.locator("#verdicts li span").all_inner_texts()
        assert sorted(names) == sorted(page.evaluate("digits.variants"))
        for chip in page.locator("#verdicts li").all():
            box = chip.bounding_box()
            assert box["y"] + box["height"] <= size[1]
            name, said = chip.locator("span, strong").all_inner_texts()
            assert said == verdict(page, name)


def test_a_test_images_predictions_are_marked(page, root):
    labels = dataset.load_split(root / "data/raw/test").labels
    visit(page, "drawing=image-3")
    for name in VARIANTS:
        known = np.unique(predictions(root, name)["actual"])
        answer = page.evaluate(f"digits.predict('{name}', 3)")
        expected = {True: "✓", False: "✗"}[answer == labels[3]]
        mark = card_of(page, name).locator(".mark").inner_text()
        assert mark == (expected if labels[3] in known else "")
    page.locator("#clear").click()
    assert page.locator(".mark").all_inner_texts() == [""] * page.locator(".mark").count()
    assert page.locator(".prediction .chosen").count() == 0


POINTERS = """
(events) => {
  const canvas = document.getElementById("canvas");
  const box = canvas.getBoundingClientRect();
  canvas.setPointerCapture = () => {};
  for (const [type, pointerId, x, y, button] of events) {
    canvas.dispatchEvent(new PointerEvent(type, { pointerId, button, bubbles: true,
      clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
  }
  return digits.modelInput();
}
"""


def test_one_pointer_draws_and_others_are_ignored(page):
    def drawn(*events):
        page.locator("#clear").click()
        return page.evaluate(POINTERS, events)

    down, move, up = "pointerdown", "pointermove", "pointerup"
    line = [(down, 1, 0.3, 0.2, 0), (move, 1, 0.6, 0.8, 0), (up, 1, 0.6, 0.8, 0)]
    palm = [(down, 2, 0.9, 0.9, 0), (move, 2, 0.8, 0.9, 0), (up, 2, 0.8, 0.9, 0)]
    alone = drawn(*line)
    assert max(alone) > 0  # without coalesced events
    assert drawn(line[0], palm[0], line[1], palm[1], palm[2], line[2]) == alone
    assert drawn((down, 1, 0.5, 0.5, 2), (move, 1, 0.8, 0.8, 2)) is None
    dot = drawn((down, 1, 0.5, 0.5, 0), (up, 1, 0.5, 0.5, 0))
    assert sum(value > 0 for value in dot) > 1


@pytest.mark.slow
def test_a_drawing_is_restored_from_its_url(chromium, page, root):
    page.locator("#clear").click()
    draw(page, (0.28, 0.24), (0.72, 0.24), (0.45, 0.8))
    wait_until(page, "location.hash.includes('ink-')")
    drawn = page.evaluate("digits.modelInput()")
    fragment = page.evaluate("location.hash")
    assert len(fragment) < 1500
    with opened(chromium, root, fragment) as other:
        assert other.evaluate("digits.modelInput()") == drawn
        draw(other, (0.1, 0.9), (0.2, 0.9))  # goes on with the drawing
        assert sum(other.evaluate("digits.modelInput()")) > 0
        visit(other, "section=draw")
        assert other.evaluate("digits.modelInput()") is None
        for wrong in ("ink-AAAA", "ink-?", "ink-A", "image-x", "ink-"):
            visit(other, fragment.removeprefix("#"))
            assert other.evaluate("digits.modelInput()") == drawn
            visit(other, f"drawing={wrong}")
            assert other.evaluate("digits.modelInput()") is None
        assert other.seen == []


@pytest.mark.slow
def test_a_view_is_restored_from_its_url(chromium, page, root):
    page.locator("#confusion-variant").select_option("linear_digits")
    page.locator("#confusion-matrix button[value='3-4']").click()
    page.locator("#many-variant").select_option("linear_digits")
    set_threshold(page, 2.75, index=2, group="many")
    page.locator("#many-matrix button[value='6-5']").click()
    page.locator("#mistakes-actual").select_option("5")
    page.locator("#noise").click()
    page.locator("#image-after").click()
    page.wait_for_url(re.compile("image="))
    parts = (
        "#cell-title",
        "#cell-images",
        "#many-result",
        "#many-cell-title",
        "#evidence-result",
        "#mistakes-count",
        "#predictions",
    )
    with opened(chromium, root, page.evaluate("location.hash")) as other:
        for part in parts:
            assert other.locator(part).inner_text() == page.locator(part).inner_text(), part
        assert other.locator("#confusion-variant").input_value() == "linear_digits"
        assert other.evaluate("digits.modelInput()") == page.evaluate("digits.modelInput()")
        assert other.locator("#draw h2").evaluate("h2 => h2 === document.activeElement")
        assert other.seen == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "fragment",
    [
        "#nowhere",
        "#variant=none&cell=99-x&image=-3&twoVariant=%3Cscript%3E&costs=1&certainty=2",
        "#thresholds.linear_binary=a&drawing=noise-x&compare=1&actual=77&section=canvas",
        "#%",
    ],
)
def test_an_invalid_url_fragment_shows_the_page_as_at_the_start(chromium, root, fragment):
    with opened(chromium, root, fragment) as page:
        assert page.seen == []
        assert page.locator("#confusion-variant").input_value() == at_the_start(root)
        assert page.locator("#two-threshold-0").input_value() == "0.49"


def test_mistakes_are_filtered_and_link_to_their_evidence(page, root):
    found = predictions(root, "linear_digits")
    page.locator("#mistakes-variant").select_option("linear_digits")
    page.locator("#mistakes-actual").select_option("9")
    page.locator("#mistakes-predicted").select_option("8")
    count = int(((found["actual"] == 9) & (found["predicted"] == 8)).sum())
    assert f"{count} mistake" in page.locator("#mistakes-count").inner_text()
    first = page.locator("#mistakes-images button").first
    number = first.get_attribute("value")
    first.click()
    assert page.locator("#image-number").input_value() == number
    answer = page.locator("#answers tr", has_text="linear_digits").inner_text()
    assert re.match(r"linear_digits\s+8\s+✗ wrong\s+score", answer)
    said = page.locator("#evidence-result").inner_text()
    assert said.startswith("linear_digits predicts 8: score")
    assert page.locator("#evidence canvas").count() == 1


def test_the_evidence_adds_up_to_the_score(page):
    page.locator("#weights-variant").select_option("multinomial")
    page.locator("#image-number").fill("7")
    page.locator("#image-number").press("Enter")
    page.locator("#compare-a").select_option("4")
    page.locator("#compare-b").select_option("9")
    scores = page.evaluate("digits.scores('multinomial', 7)")
    words = page.locator("#evidence figcaption").all_inner_texts()
    number = rf"([-+{MINUS}]?[\d.]+)"
    shown = []
    for text, digit in zip(words[:2], (4, 9), strict=True):
        intercept, evidence, score = (
            float(part.replace(MINUS, "-"))
            for part in re.search(
                f"{number} intercept {number} evidence = score {number}", text
            ).groups()
        )
        assert intercept + evidence == pytest.approx(score, abs=1e-9)
        shown.append(score)
        assert score == pytest.approx(scores[digit], abs=0.01)
    difference = float(words[2].split(": ")[1].replace(MINUS, "-"))
    assert difference == pytest.approx(shown[0] - shown[1], abs=1e-9)
    page.locator("#compare-b").select_option("4")  # the same twice swaps the two
    assert page.locator("#compare-a").input_value() == "9"


def test_every_variant_answers_for_one_image(page, root):
    images, labels = dataset.load_split(root / "data/raw/test")
    for number in (0, 3, len(images) - 1):
        page.locator("#image-number").fill(str(number))
        page.locator("#image-number").press("Enter")
        for name, variant in params.load(root / "params.yaml").variants.items():
            row = page.locator("#answers tr", has_text=name)
            found = predictions(root, name)
            known = np.isin(labels, np.unique(found["actual"]))
            if not known[number]:
                assert f"{labels[number]} is not one of its classes" in row.inner_text()
                continue
            place = int(known[:number].sum())
            predicted = found["predicted"][place]
            mark = "✓ correct" if predicted == labels[number] else "✗ wrong"
            cells = row.locator("td").all_inner_texts()
            assert cells[:2] == [str(predicted), mark], variant
    page.locator("#image-number").fill("123456")
    page.locator("#image-number").press("Enter")
    assert "no test image 123456" in page.locator("#image-problem").inner_text()
    assert page.locator("#image-number").input_value() == str(len(images) - 1)


@pytest.mark.slow
def test_a_chosen_image_is_explained_next_to_it_and_back_undoes_it(chromium, root):
    for size in ((1440, 900), (768, 1024), (390, 844)):
        viewport = {"width": size[0], "height": size[1]}
        with opened(chromium, root, viewport=viewport) as page:
            page.locator("#mistakes-variant").select_option("linear_digits")
            chosen = page.locator("#mistakes-images button").nth(5)
            chosen.scroll_into_view_if_needed()
            before, number = page.evaluate("scrollY"), chosen.get_attribute("value")
            spot = chosen.bounding_box()
            chosen.click()
            assert page.evaluate("scrollY") == before
            assert chosen.bounding_box() == spot
            panel = page.locator("#inspector").bounding_box()
            x, y = spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2
            inside = panel["x"] <= x <= panel["x"] + panel["width"]
            assert not (inside and panel["y"] <= y <= panel["y"] + panel["height"])
            for part in ("#image-shown", "#answers"):
                box = page.locator(part).bounding_box()
                assert 0 <= box["y"] < box["y"] + box["height"] <= size[1]
            assert page.locator("#image-number").input_value() == number
            page.go_back()
            wait_until(page, "!location.hash.includes('image=')")
            assert page.locator("#image-number").input_value() != number
            assert page.locator("#inspector.open").count() == 0
            wait_until(page, f"Math.abs(scrollY - {before}) < 60")
            page.go_back()
            wait_until(page, "!location.hash.includes('linear_digits')")
            assert page.locator("#mistakes-variant").input_value() == at_the_start(root)
            page.go_forward()
            page.go_forward()
            wait_until(page, "location.hash.includes('image=')")
            assert page.locator("#image-number").input_value() == number


def test_an_address_that_the_reader_types_is_not_overwritten(chromium, root):
    with opened(chromium, root) as page:
        page.evaluate(
            """() => {
              const later = [];
              const wait = window.setTimeout;
              window.setTimeout = (call, _, ...values) =>
                later.push(() => call(...values));
              document.getElementById("clear").click(); // the address follows a while later
              window.setTimeout = wait;
              location.hash = "drawing=image-3&image=drawing";
              for (const call of later) call(); // before the page hears of the new address
            }"""
        )
        wait_until(
            page,
            "document.getElementById('image-result').innerText.startsWith("
            "'Test image 3, actual')",
        )
        assert page.evaluate("location.hash") == "#image=drawing&drawing=image-3"


@pytest.mark.slow
def test_a_filter_that_the_variant_does_not_have_is_removed(chromium, root):
    fragment = "#variant=logistic_binary&actual=4&predicted=1"
    with opened(chromium, root, fragment) as page:
        assert page.locator("#mistakes-actual").input_value() == ""
        assert page.locator("#mistakes-predicted").input_value() == "1"
        page.locator("#mistakes-variant").select_option("multinomial")
        page.locator("#mistakes-actual").select_option("5")
        page.locator("#confusion-variant").select_option("linear_binary")
        assert "actual=5" not in page.evaluate("location.hash")
        assert "predicted=1" in page.evaluate("location.hash")


def test_images_follow_a_moving_threshold_once_it_rests(page, root):
    page.locator("#two-variant").select_option("linear_binary")
    page.locator("#two-matrix button[value='1-1']").click()
    set_threshold(page, 0.9)
    made = page.evaluate(
        """() => { let made = 0;
          new MutationObserver(() => { made += 1; })
            .observe(document.getElementById("two-cell-images"), { childList: true });
          const slider = document.getElementById("two-threshold-0");
          for (let i = 0; i < 20; i += 1) {
            slider.value = String(i / 20);
            slider.dispatchEvent(new Event("input"));
          }
          return new Promise((resolve) => setTimeout(() => resolve(made), 400)); }"""
    )
    assert made == 1
    count = int(page.locator("#two-matrix button[value='1-1']").inner_text())
    assert page.locator("#two-cell-images .image").count() == min(count, 200)


def class_report(page, container):
    return page.locator(f"{container} tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variants_report_is_evaluates(page, root, variant):
    page.locator("#confusion-variant").select_option(variant)
    with (root / f"metrics/{variant}/report.csv").open() as file:
        expected = [*csv.DictReader(file)]
    found = class_report(page, "#confusion-report")
    for (name, *ratios, support), row in zip(found, expected, strict=True):
        assert (name, support) == (row["class"], f"{int(row['support']):,}")
        for shown, key in zip(ratios, ("precision", "recall", "f1"), strict=True):
            # The table has six decimals, the page four, and 1 only where nothing is wrong.
            assert float(shown) == pytest.approx(float(row[key]), abs=1e-4), (name, key)
            assert (shown == "1.0000") == (float(row[key]) == 1), (name, key)


def test_the_data_are_counted_and_averaged(page, root):
    for split, column in (("train", 1), ("test", 2)):
        images, labels = dataset.load_split(root / "data/raw" / split)
        counts = [int(row[column].replace(",", "")) for row in class_report(page, "#data")]
        assert counts == np.bincount(labels, minlength=10).tolist()
    shown = page.locator("#data .frame canvas").evaluate_all(
        "canvases => canvases.map((canvas) => Array.from(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data)"
        ".filter((_, i) => i % 4 === 3))"
    )
    averages = [
        np.rint(images[labels == label].mean(axis=0)).ravel() for label in range(10)
    ]
    assert np.array_equal(shown, averages)
    first = page.locator("#data tbody tr").nth(3).locator(".image").first
    assert int(first.get_attribute("value")) == np.flatnonzero(labels == 3)[0]


def test_a_small_picture_has_the_pixels_of_its_test_image(page, root):
    images = dataset.load_split(root / "data/raw/test").images
    shown = page.locator("#data .image").evaluate_all(
        """buttons => buttons.map((button) => {
          const picture = button.querySelector("img");
          const context = document.createElement("canvas").getContext("2d");
          context.drawImage(picture, 0, 0);
          const [wide, high] = [picture.naturalWidth, picture.naturalHeight];
          const { data } = context.getImageData(0, 0, wide, high);
          return [Number(button.value), [...data].filter((_, i) => i % 4 === 3)];
        })"""
    )
    assert len(shown) > 20
    for number, pixels in shown:
        assert pixels == images[number].ravel().tolist()


def neighbour_correlation(values):
    """Return the correlation of neighbouring pixels among those that are not all 0."""
    used = (values != 0).any(axis=0)
    across, down = used[:, :-1] & used[:, 1:], used[:-1] & used[1:]
    first = [values[:, :, :-1][:, across].ravel(), values[:, :-1][:, down].ravel()]
    second = [values[:, :, 1:][:, across].ravel(), values[:, 1:][:, down].ravel()]
    return np.corrcoef(np.concatenate(first), np.concatenate(second))[0, 1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_said_of_the_weights_is_so(page, root, variant):
    shape = dataset.load_split(root / "data/raw/test").images.shape[1:]
    page.locator("#weights-variant").select_option(variant)
    said = page.locator("#weights-text").inner_text()
    model = serialization.load(root / f"data/models/{variant}.npz")
    correlation = neighbour_correlation(model.coef.reshape(-1, *shape))
    number = f"{correlation:.2f}".replace("-", MINUS)
    assert f"have a correlation of {number}," in said
    assert ("look noisy" in said) <= (correlation < 0.4)
    assert ("look smooth" in said) <= (correlation >= 0.4)
    C = getattr(params.load(root / "params.yaml").variants[variant].train, "C", None)
    explained = "weights look" in said
    assert ("C = " in said) == (explained and C is not None)
    assert C is None or not explained or f"C = {C:g}" in said
    constant = int(((model.coef == 0).all(axis=0) & (model.scale == 1)).sum())
    assert (f"{constant} pixel" in said) == (constant > 0)


@pytest.mark.slow
def test_the_slider_the_scores_and_the_curve_have_one_scale(chromium, root):
    for width in (1280, 390):
        with opened(chromium, root, viewport={"width": width, "height": 900}) as page:
            page.locator("#two-variant").select_option("linear_binary")
            for value in (0, 0.49, 0.9):
                set_threshold(page, value)
                line = page.locator("#two-ridges .threshold-line").bounding_box()
                dot = page.locator("#two-curve .dot").bounding_box()
                slider = page.locator("#two-threshold-0")
                box = slider.bounding_box()
                low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
                thumb = box["x"] + 8 + (value - low) / (high - low) * (box["width"] - 16)
                middle = line["x"] + line["width"] / 2
                assert dot["x"] + dot["width"] / 2 == pytest.approx(middle, abs=2)
                assert thumb == pytest.approx(middle, abs=2)


def test_the_contents_stay_in_sight_and_mark_the_section(page):
    for name in ("weights", "run"):
        page.locator(f"nav a[href='#{name}']").click()
        wait_until(
            page, "document.querySelector('nav [aria-current]')?.hash === '#" + name + "'"
        )
        assert page.locator("nav").bounding_box()["y"] == pytest.approx(0, abs=1)
        assert page.locator(f"#{name} h2").bounding_box()["y"] > 40


def test_a_readers_font_size_scales_the_text(page):
    sizes = page.evaluate(
        """["100%", "200%"].map((size) => {
          document.documentElement.style.fontSize = size;
          const shown = getComputedStyle(document.body).fontSize;
          document.documentElement.style.fontSize = "";
          return Number.parseFloat(shown);
        })"""
    )
    assert sizes[1] == 2 * sizes[0]


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_table_of_results_is_cut_on_a_small_screen(chromium, root, width):
    with opened(chromium, root, viewport={"width": width, "height": 844}) as page:
        cut = page.locator("section:not(#image, #fool, #run) .scroll").evaluate_all(
            """boxes => boxes.filter((box) => box.scrollWidth - box.clientWidth > 1)
              .map((box) => box.id || box.ariaLabel)"""
        )
        assert cut == []


def test_print_and_forced_colours_lose_no_content(chromium, root):
    with opened(chromium, root) as page:
        page.emulate_media(media="print")
        assert page.locator("#confusion-variant").is_visible()  # whose matrix it is
        assert not page.locator("nav").is_visible()
        for box in page.locator(".scroll").all():
            assert box.evaluate("box => getComputedStyle(box).overflowX") == "visible"
        page.emulate_media(media="screen", forced_colors="active")
        page.locator("#noise").click()
        bar = page.locator(".prediction .chosen .bar").first
        cell = page.locator("#confusion-matrix .cell.correct").first
        for mark in (bar, cell):
            colour = mark.evaluate("mark => getComputedStyle(mark).backgroundColor")
            assert colour not in {"rgba(0, 0, 0, 0)", "rgb(255, 255, 255)"}


CENTRE = """canvas => {
  const [x, y] = [canvas.width >> 1, canvas.height >> 1];
  return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data);
}"""


def test_another_theme_draws_the_weights_in_its_colours(chromium, root):
    with opened(chromium, root) as page:
        weights = page.locator("#weights canvas").first
        light = weights.evaluate(CENTRE)
        page.emulate_media(color_scheme="dark")
        centre = f"({CENTRE})(document.querySelector('#weights canvas'))"
        page.wait_for_function(f"light => `${{{centre}}}` != `${{light}}`", arg=light)


IS_LAID_OUT = "part => part.checkVisibility({ contentVisibilityAuto: true })"


def test_sections_are_laid_out_when_they_are_near(chromium, root):
    with opened(chromium, root, whole=False) as page:
        far = page.locator("#unsure-table")
        assert not far.evaluate(IS_LAID_OUT)
        assert far.locator("td").count()  # it is filled
        page.locator("#unsure").evaluate("section => section.scrollIntoView()")
        wait_until(
            page,
            "document.querySelector('#unsure-table')"
            ".checkVisibility({ contentVisibilityAuto: true })",
        )


@pytest.mark.parametrize("fragment", ["", "#fool", "#unsure"])
@pytest.mark.parametrize("name", ["image", "fool", "unsure", "run"])
def test_a_link_leads_to_its_section_and_it_stays_there(chromium, root, name, fragment):
    with opened(chromium, root, fragment, whole=False) as page:
        if fragment != f"#{name}":
            page.locator(f"nav a[href='#{name}']").click()
        page.wait_for_timeout(300)
        top = page.locator(f"#{name}").bounding_box()["y"]
        last = page.evaluate("scrollY + innerHeight >= document.body.scrollHeight - 40")
        assert top == pytest.approx(64, abs=4) or (last and 64 < top < 900)


def scroll(page):
    """Scroll as a reader does; return a section in sight, and where its top is."""
    for _ in range(10):
        page.evaluate("scrollBy({ top: 700, behavior: 'instant' })")
        page.wait_for_timeout(50)
    section = page.evaluate(
        "[...document.querySelectorAll('section')]"
        ".find((part) => part.getBoundingClientRect().bottom > 100).id"
    )
    return section, top_of(page, section)


def top_of(page, section):
    return page.evaluate(
        f"document.getElementById('{section}').getBoundingClientRect().top"
    )


@pytest.mark.parametrize("slower", [1, 4])
@pytest.mark.parametrize("again", ["reload", "back"])
def test_a_page_that_is_loaded_again_shows_the_same_place(chromium, root, again, slower):
    with opened(chromium, root, whole=False) as page:
        session = page.context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        section, before = scroll(page)
        if again == "reload":
            page.reload()
        else:
            page.goto("about:blank")
            page.go_back()
        page.locator("html[data-ready]").wait_for()
        page.wait_for_timeout(500)
        assert top_of(page, section) == pytest.approx(before, abs=4)


@pytest.mark.firefox
def test_firefox_shows_the_same_place_again(firefox, root):
    with opened_in_firefox(firefox, root) as page:
        section, before = scroll(page)
        page.reload()
        page.wait_for_timeout(500)
        page.seen.clear()  # the page itself
        assert top_of(page, section) == pytest.approx(before, abs=4)


def test_the_inspector_covers_the_window_from_every_section(chromium, root):
    with opened(chromium, root, whole=False) as page:
        page.locator("#classes button.image").first.click()
        box = page.locator("#inspector").bounding_box()
        assert (box["y"], box["height"]) == (0, 900)
        assert page.locator("#inspector").evaluate(IS_LAID_OUT)


# What is on the page when slow work is done; a busy part counts as empty.
FILLED = """
["#classes tr", "#two-matrix button", "#many-matrix button", "#confusion-matrix button",
  "#mistakes-count:not(:empty)", "#answers tr", "#neighbours:not([aria-busy=true]) img",
  "#evidence canvas", "#fool-live:not([aria-busy=true]) #fool-models td",
  "#unsure-table td"]
  .map((part) => document.querySelectorAll(part).length)
"""


def test_printing_fills_all_sections_at_once(chromium, root):
    with opened(chromium, root) as page:
        rested = "document.querySelectorAll('[aria-busy=true]').length === 0"
        wait_until(page, rested)
        expected = page.evaluate(FILLED)
    assert min(expected) > 0
    window = chromium.new_context(offline=True)
    page = window.new_page()
    page.add_init_script("window.setTimeout = () => 0")  # nothing is filled later
    page.goto((root / "report/index.html").as_uri())
    wait_until(page, "window.digits !== undefined")
    assert page.evaluate(FILLED)[0] == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(FILLED) == expected
    window.close()


# What a keyboard must reach: every control, or one of a group with arrow keys.
REACHABLE = """
[...document.querySelectorAll("a, button, select, input, summary, canvas[tabindex]")]
  .filter((element) => element.checkVisibility() && element.tabIndex >= 0).length
"""


def test_a_keyboard_reaches_everything(page):
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    page.evaluate("document.body.tabIndex = -1, document.body.focus()")
    expected = page.evaluate(REACHABLE)
    assert expected > 25
    tags = {"A", "BUTTON", "SELECT", "INPUT", "SUMMARY", "CANVAS"}
    reached, others = set(), 0
    while len(reached) < expected and others < 30:
        page.keyboard.press("Tab")
        name = page.evaluate(
            "const here = document.activeElement;"
            " [here.tagName, [...document.querySelectorAll('*')].indexOf(here)].join()"
        )
        if name.split(",")[0] in tags and name not in reached:
            reached.add(name)
        else:
            others += 1
    assert len(reached) == expected


def test_a_keyboard_operates_everything(page, root):
    page.locator("#confusion-matrix button[tabindex='0']").focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    count = table(root / f"metrics/{at_the_start(root)}/confusion.csv")["1-1"]
    title = page.locator("#cell-title").inner_text()
    assert title == f"Actual 1, predicted 1: {count:,} images"
    page.locator("#cell-images button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "inspector"
    page.keyboard.press("Escape")
    opener = page.locator("#cell-images button").nth(1)
    assert opener.evaluate("button => button === document.activeElement")

    page.locator("#two-variant").select_option("linear_binary")
    page.locator("#two-threshold-0").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#two-sliders output").first.inner_text() == "0.50"

    page.locator("#clear").click()
    page.locator("#canvas").focus()
    for key in ("Space", "Shift+ArrowDown", "Shift+ArrowDown", "Space", "ArrowLeft"):
        page.keyboard.press(key)
    assert verdict(page, "multinomial").isdigit()
    page.keyboard.press("Delete")
    assert verdict(page, "multinomial") == NONE


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        pytest.param(1280, "light", marks=pytest.mark.slow),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
    ],
)
def test_an_accessibility_check_finds_no_serious_violation(chromium, root, width, scheme):
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    window = {"width": width, "height": 844}
    with opened(chromium, root, color_scheme=scheme, viewport=window) as page:
        page.locator("#noise").click()
        page.locator("#two-matrix button").nth(1).click()
        if width > 400:
            page.locator("#data .image").first.click()  # opens the inspector
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        faults = [
            (
                fault["id"],
                fault["impact"],
                [node["html"][:120] for node in fault["nodes"]][:3],
            )
            for fault in found["violations"]
        ]
        assert faults == []
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == width  # nothing overflows the window


@pytest.mark.results
def test_a_seven_drawn_with_the_mouse_is_recognised(chromium):
    with opened(chromium, ROOT) as page:
        draw(page, (0.28, 0.24), (0.72, 0.24), (0.45, 0.8))
        assert verdict(page, "multinomial") == "7"
        assert verdict(page, "one_vs_rest") == "7"
        assert verdict(page, "lenet5") == "7"
        image = np.reshape(page.evaluate("digits.modelInput()"), (28, 28))
        assert image.max() == 255
