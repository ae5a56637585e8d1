"""The sections of the report page that answer the two exercises' questions."""

import json
import re

import numpy as np
import pytest
from scipy import special, stats
from sklearn.metrics import average_precision_score, roc_auc_score

from digits.data.dataset import Split
from digits.report.story import LEVELS
from tests.helpers.browser import (
    MINUS,
    NONE,
    opened,
    predictions,
    visit,
    wait_until,
)
from tests.helpers.pages import page_of, result

PROBABLE = ("logistic_binary", "one_vs_rest", "multinomial")


def number(text):
    return float(text.replace(MINUS, "-").replace(",", "").replace("%", ""))


def table(page, selector):
    """Return the texts of the rows of a table's bodies."""
    return page.locator(f"{selector} tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )


def test_each_section_has_a_question_an_answer_and_an_entry_of_the_contents(page):
    sections = page.locator("main > section").evaluate_all(
        """sections => sections.map((section) => [section.id,
          section.querySelector(".kicker").textContent,
          section.querySelector("h2").textContent,
          section.querySelector(".answer")?.textContent.trim()])"""
    )
    links = page.locator("nav a").evaluate_all("links => links.map(({ hash }) => hash)")
    assert links == [f"#{id_}" for id_, *_ in sections]
    names = [id_ for id_, *_ in sections]
    told = ["draw", "data", "two-classes", "logistic", "costs", "thresholds", "scores"]
    assert names[: len(told)] == told
    assert names[-1] == "run"
    chapters = page.locator("nav .chapter").all_text_contents()
    assert list(dict.fromkeys(chapter for _, chapter, *_ in sections)) == chapters
    for id_, _, question, answer in sections:
        assert question.endswith("?"), id_
        assert answer or id_ in {"image", "fool"}, id_  # without a short answer
    assert page.locator("dfn").count() >= 8


@pytest.mark.slow
def test_the_contents_stay_in_sight_on_every_screen(chromium, root):
    for width in (390, 768, 1440):
        with opened(chromium, root, viewport={"width": width, "height": 844}) as page:
            for name in ("logistic", "unsure"):
                page.locator(f"nav a[href='#{name}']").click()
                marked = page.locator("nav [aria-current]")
                wait_until(
                    page,
                    f"document.querySelector('nav [aria-current]')?.hash === '#{name}'",
                )
                box, title = marked.bounding_box(), page.locator(f"#{name} h2")
                assert 0 <= box["x"] < box["x"] + box["width"] <= width
                assert 0 <= box["y"] < box["y"] + box["height"] <= 844
                assert title.bounding_box()["y"] > 30


def test_outputs_outside_0_and_1_are_counted(page, root):
    scores = predictions(root, "linear_binary")["scores"]
    outside = ((scores < 0) | (scores > 1)).mean()
    answer = page.locator("#two-classes .answer").inner_text()
    assert f"{100 * outside:.1f}% of the outputs are below 0 or above 1" in answer


@pytest.fixture
def lines(chromium, tmp_path):
    """A page of two classes whose brightest images have scores far from the others."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 40, (300, 6, 5)).astype(np.uint8)
    images[17], images[230] = 255, 200
    split = Split(images, np.arange(300, dtype=np.uint8) % 2)
    results = [result(kind, kind, (0, 1), split) for kind in ("threshold", "sigmoid")]
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of(results, split))
    with opened(chromium, tmp_path) as page:
        yield page, results[0].scores[:, 0], results[0].actual
        assert page.seen == []


def test_the_score_that_is_furthest_from_the_others_is_marked_and_leads_to_its_image(lines):
    page, scores, actual = lines
    furthest = page.locator("#two-outliers-images button").first
    caption = furthest.locator("span").inner_text()
    row = int(np.abs(scores - np.median(scores)).argmax())
    assert row == 17
    assert number(caption) == pytest.approx(scores[row], abs=0.005)
    text = page.locator("#two-outliers-text").inner_text()
    assert f"The furthest has {caption}, and is of class {actual[row]}." in text
    errors = (scores - actual) ** 2
    for mean in (errors.mean(), np.delete(errors, row).mean()):
        assert f"{mean**0.5:.3f}" in text
    assert furthest.get_attribute("value") == str(row)
    assert caption in page.locator("#two-ridges .outlier").text_content()
    page.locator("#two-ridges .outlier").click()
    assert page.locator("#image-number").input_value() == str(row)


def all_cuts(scores, actual):
    """Return every threshold's errors: 0 predicted as 1, and 1 predicted as 0."""
    values = np.unique(scores)
    thresholds = [-np.inf, *((values[1:] + values[:-1]) / 2), np.inf]
    return np.array(
        [
            [(actual[scores > t] == 0).sum(), (actual[scores <= t] == 1).sum()]
            for t in thresholds
        ]
    )


def rows_of_costs(page):
    """Return each variant's rows of the table: threshold, its value, errors and costs."""
    rows, name = {}, ""
    for cells in table(page, "#costs-table"):
        if len(cells) == 1:
            (name,) = cells
        else:
            rows.setdefault(name, {})[cells[0]] = [cells[1], *map(number, cells[2:])]
    return rows


@pytest.mark.parametrize("costs", [(1, 1), (10, 1), (0.25, 100), (0, 1), (0, 0)])
def test_the_best_threshold_for_costs_is_numpys(page, root, costs):
    visit(page, f"costs={costs[0]}+{costs[1]}")
    assert page.locator("#cost-high").input_value() == str(costs[0])
    rows = rows_of_costs(page)
    assert list(rows) == ["linear_binary", "logistic_binary"]
    for name, each in rows.items():
        found = predictions(root, name)
        scores, actual = found["scores"][:, 0], found["actual"]
        least = (all_cuts(scores, actual) @ costs).min()
        _, high, low, cost = each["best for these test images"]
        assert cost == pytest.approx(least)
        assert cost == pytest.approx(np.dot((high, low), costs))
        used = 0.49 if name == "linear_binary" else 0
        expected = [(actual[scores > used] == 0).sum(), (actual[scores <= used] == 1).sum()]
        assert each["in use"][1:3] == expected
    follows = rows["logistic_binary"].get("a / (a + b)")
    assert (follows is None) == (sum(costs) == 0)
    if follows:
        found = predictions(root, "logistic_binary")
        says = special.expit(found["scores"][:, 0]) > costs[0] / sum(costs)
        wrong = [
            (says & (found["actual"] == 0)).sum(),
            (~says & (found["actual"] == 1)).sum(),
        ]
        assert follows[1:3] == wrong


def test_costs_follow_the_threshold_and_refuse_what_is_no_cost(page):
    page.locator("#cost-high").fill("7")
    wait_until(page, "location.hash.includes('costs=7+1')")
    before = rows_of_costs(page)["linear_binary"]
    page.locator("#two-threshold-0").fill("0.9")
    after = rows_of_costs(page)["linear_binary"]
    assert after["in use"][0] == "score > 0.9"
    assert after["in use"] != before["in use"]
    assert after["best for these test images"] == before["best for these test images"]
    page.locator("#cost-high").fill("-3")
    page.locator("#cost-high").press("Tab")
    assert page.locator("#cost-high").input_value() == "7"


def test_the_areas_under_the_curves_are_scikit_learns(page, root):
    shown = {}
    for figure in page.locator("#curves figure").all():
        for line in figure.locator(".legend li").all_inner_texts():
            name, kind, value = line.split()
            shown[name, kind] = float(value)
    for name in ("linear_binary", "logistic_binary"):
        found = predictions(root, name)
        arguments = found["actual"], found["scores"][:, 0]
        area, precision = roc_auc_score(*arguments), average_precision_score(*arguments)
        assert shown[name, "AUC"] == pytest.approx(area, abs=1e-5)
        assert shown[name, "AP"] == pytest.approx(precision, abs=1e-5)
        assert (shown[name, "AUC"] == 1) == (area == 1)
    page.locator("#curves-whole").check()
    ticks = page.locator("#curves svg").first.locator(".tick").all_text_contents()
    assert {"0%", "100%"} <= set(ticks)
    page.locator("#curves-whole").uncheck()


def certainty(root, name):
    """Return the probability that a variant gives its prediction."""
    scores = predictions(root, name)["scores"]
    if name == "logistic_binary":
        return special.expit(np.abs(scores[:, 0]))
    if name == "one_vs_rest":
        return special.expit(scores.max(axis=1))
    return special.softmax(scores, axis=1).max(axis=1)


@pytest.mark.parametrize("level", [0.0, 0.5, 0.9, 0.99, 0.9995, 0.99999])
def test_the_answers_that_are_certain_enough_are_numpys(page, root, level):
    fragment = f"certainty={level:g}" if level else "certainty=0"
    visit(page, fragment)
    assert page.locator("#unsure-level").input_value() == str(LEVELS.index(level))
    rows = {name: cells for name, *cells in table(page, "#unsure-table")}
    for name in PROBABLE:
        found = predictions(root, name)
        right = found["actual"] == found["predicted"]
        answers = certainty(root, name).round(12) >= level
        shares = answers.mean(), right[answers].mean() if answers.any() else None
        for text, share in zip(rows[name], shares, strict=False):
            assert (text == NONE) == (share is None)
            if share is not None:
                assert number(text) == pytest.approx(100 * share, abs=0.0101)
                assert (text == "100.00%") == (share == 1)
        expected = [(answers & ~right).sum(), (~answers).sum()]
        assert [number(text) for text in rows[name][2:]] == expected
    visit(page, f"{fragment}&unsureVariant=one_vs_rest")
    found = predictions(root, "one_vs_rest")
    wrong = (found["actual"] != found["predicted"]) & (
        certainty(root, "one_vs_rest").round(12) >= level
    )
    title = page.locator("#unsure-title-2")
    page.wait_for_timeout(250)  # the images follow when the slider rests
    count = re.search(r"([\d,]+) image", title.inner_text())
    assert (number(count[1]) if count else 0) == wrong.sum()
    shown = page.locator("#unsure-images .image").evaluate_all(
        "all => all.map(({ value }) => Number(value))"
    )
    assert set(shown) <= set(np.flatnonzero(wrong).tolist())
    assert len(shown) == min(wrong.sum(), 200)


def test_a_keyboard_moves_the_certainty(page):
    page.locator("#unsure-level").focus()
    page.keyboard.press("End")
    assert page.locator("#unsure-level-shown").inner_text() == "99.999%"
    page.keyboard.press("Home")
    assert page.locator("#unsure-level-shown").inner_text() == "0%"
    for cells in table(page, "#unsure-table"):
        assert cells[1] == "100.00%"


def test_variants_are_compared_with_the_next_best_as_scipy_does(page, root):
    rows = table(page, "#variants .ranking")
    p_values = []
    for better, other, *texts in rows:
        old, new = predictions(root, other), predictions(root, better)
        right = [each["actual"] == each["predicted"] for each in (new, old)]
        only = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
        assert tuple(map(number, texts[:2])) == only
        points = 100 * (right[0].mean() - right[1].mean())
        assert number(texts[2].split()[0]) == pytest.approx(points, abs=0.0051)
        p_values.append(stats.binomtest(int(only[0]), int(sum(only)) or 1).pvalue)
    adjusted, largest = {}, 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min((len(rows) - rank) * p_values[place], 1))
        adjusted[place] = largest
    for place, (*_, p, verdict) in enumerate(rows):
        assert (verdict == "more than chance") == (adjusted[place] < 0.05)
        if adjusted[place] < 0.001:
            assert p == "< 0.001"
        else:
            assert number(p) == pytest.approx(adjusted[place], abs=0.00051)


def test_logistic_scores_are_next_to_linear_ones(page):
    for plot in ("#logistic-line", "#logistic-ridges"):
        assert page.locator(f"{plot} .ridge.correct").count() == 2
        assert page.locator(f"{plot} .threshold-line").count() == 1
    left, right = (
        page.locator(f"#logistic-{name}").bounding_box() for name in ("line", "ridges")
    )
    assert left["x"] + left["width"] < right["x"]
    assert page.evaluate(
        """(() => {
          const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
          return ids.length === new Set(ids).size;
        })()"""
    )


RTL = "\u05e9\u05dc\u05d5\u05dd"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "question"),
    [
        (("cat", "dog"), "Can least squares tell cat from dog?"),
        (("<b>a</b>", RTL), f"Can least squares tell <b>a</b> from {RTL}?"),
        (("a" * 90, "b"), "Can least squares tell one class from the other?"),
    ],
)
def test_data_with_two_classes_has_only_the_sections_that_fit(
    chromium, tmp_path, names, question
):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 9, 7)).astype(np.uint8)
    split = Split(images, np.arange(40, dtype=np.uint8) % 2)
    kinds = ("threshold", "sigmoid", "softmax")
    results = [result(kind, kind, (0, 1), split, seed=1) for kind in kinds]
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of(results, split, names=names))
    with opened(chromium, tmp_path) as page:
        ids = page.locator("main > section").evaluate_all("all => all.map(({ id }) => id)")
        assert {"two-classes", "logistic", "costs", "unsure"} <= set(ids)
        assert not {"thresholds", "scores", "lenet5"} & set(ids)
        assert page.locator("#two-classes h2").inner_text() == question
        for name in ("two-classes", "weights"):
            assert page.locator(f"#{name} .kicker").inner_text() == "Two classes"
        assert names[1] in page.locator("#cost-high-label").inner_text()
        assert page.locator("main b").count() == 0
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == page.viewport_size["width"]
        assert page.seen == []


def test_thresholds_that_are_as_good_as_any_model_are_not_called_useless(
    chromium, tmp_path
):
    labels = np.arange(30, dtype=np.uint8) % 3
    images = np.zeros((30, 4, 4), np.uint8)
    images[:, 0, 0] = 80 * labels
    split = Split(images, labels)
    (tmp_path / "report").mkdir()
    each = result("line", "threshold", (0, 1, 2), split, seed=1)
    (tmp_path / "report/index.html").write_text(page_of([each], split))
    with opened(chromium, tmp_path) as page:
        answer = page.locator("#thresholds .answer").inner_text()
        assert answer.startswith("The best 2 thresholds for these test images are right on")
        assert page.locator("#two-classes, #logistic, #costs, #scores").count() == 0
        assert page.locator("#thresholds h2").inner_text() == (
            "Can 2 thresholds separate 3 classes?"
        )
        assert page.seen == []


@pytest.mark.parametrize("variant", ["linear_binary", "linear_digits", "multinomial"])
def test_the_means_over_the_classes_are_the_metrics(page, root, variant):
    page.locator("#confusion-variant").select_option(variant)
    metrics = json.loads((root / f"metrics/{variant}.json").read_text())
    name, *ratios, support = page.locator("#confusion-report tfoot tr").evaluate(
        "row => [...row.cells].map((cell) => cell.textContent)"
    )
    assert (name, number(support)) == ("Mean", len(predictions(root, variant)["actual"]))
    for shown, key in zip(ratios, ("precision", "recall", "f1"), strict=True):
        expected = metrics[f"{key}_macro"]
        assert number(shown) == pytest.approx(expected, abs=1e-4)
        assert (shown == "1.0000") == (expected == 1)
