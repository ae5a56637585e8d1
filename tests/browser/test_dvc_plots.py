"""The plots of all variants are drawn, in the page that `dvc plots` writes."""

import re

import numpy as np
import pytest

from tests.helpers.dvc_yaml import COMPARISONS, VARIANTS
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow


TUNING = """
tuning:
  cut: {variant: linear_binary, grid: {threshold: [0.1, 0.2, 0.3]}}
"""


def write_candidates(project, *values):
    """Write the table of a tuning: the first value is the simplest, the last the best."""
    header = "threshold,accuracy,accuracy_se,log_loss,log_loss_se,choice,candidate\n"
    choices = ["simplest", *[""] * (len(values) - 2), "best"]
    rows = [
        f"{value},{0.9 + i / 100},0.02,,,{choice},threshold = {value}\n"
        for i, (value, choice) in enumerate(zip(values, choices, strict=True))
    ]
    (project.root / "tuning/cut/values.csv").write_text("".join((header, *rows)))


@pytest.fixture(scope="module")
def page(done, chromium, tmp_path_factory):
    """The page of `dvc plots diff` in which two revisions are compared."""
    project = done.copy(tmp_path_factory.mktemp("plots") / "project")
    with (project.root / "params.yaml").open("a") as file:
        file.write(TUNING)
    (project.root / "tuning/cut").mkdir()
    write_candidates(project, "0.1", "0.2", "0.3")
    project.repro("check")
    project.commit("Add a tuning")
    write_candidates(project, "0.1", "0.3")
    project.edit("threshold: 0.49", "threshold: 0.2")
    project.repro()
    project.commit("Move the threshold")
    project.run("dvc", "plots", "diff", "HEAD~1", "HEAD", "--out", "page")
    page = chromium.new_page(viewport={"width": 1400, "height": 900})
    page.seen = []
    page.on("console", lambda message: page.seen.append(message.text))
    page.goto((project.root / "page/index.html").as_uri())
    wait_until_drawn(page, "main > .card")
    yield page
    assert page.seen == []
    page.close()


def wait_until_drawn(page, cards):
    page.wait_for_function(
        f"[...document.querySelectorAll('{cards}')].every("
        "(card) => card.querySelector('svg, img') || card.lastChild.textContent)"
    )


CHANGED = "linear_binary"


@pytest.mark.parametrize("title", [name for name in COMPARISONS if "Training" not in name])
def test_the_plots_of_all_variants_have_those_that_differ_and_fit_the_window(page, title):
    card = page.locator("main > .card", has_text=title)
    texts = card.locator("svg text").all_text_contents()
    assert f"{title}: {CHANGED}" in texts
    revisions = [text for text in texts if text.startswith("HEAD")]
    two = title.startswith("Confusion")  # matrices of each: of both revisions
    assert revisions == ["HEAD~1", "HEAD", *["HEAD minus HEAD~1"] * two]
    left_out = card.locator(".note").inner_text().removeprefix("The same in all revisions")
    assert {*left_out.removeprefix(", and left out: ").split(", ")} == {*VARIANTS} - {
        CHANGED
    }
    assert card.evaluate("(card) => card.scrollWidth <= card.clientWidth")


def test_a_matrix_of_differences_is_that_of_both(page):
    card = page.locator("main > .card", has_text=f"Confusion matrix of {CHANGED}")
    texts = card.locator("svg .mark-text.role-mark text").all_text_contents()
    numbers = [int(text.replace("\N{MINUS SIGN}", "-")) for text in texts]
    before, after, difference = (numbers[start : start + 4] for start in (0, 4, 8))
    assert len(numbers) == 12
    assert any(difference)
    assert difference == [b - a for a, b in zip(before, after, strict=True)]
    signs = [text[0] for text in texts[8:]]
    assert all(
        (sign == "+") == (value > 0) for sign, value in zip(signs, difference, strict=True)
    )
    colours = card.locator("svg .mark-rect.role-mark path").evaluate_all(
        "(cells) => cells.slice(-4).map((cell) => cell.getAttribute('fill'))"
    )
    for value, colour, correct in zip(difference, colours, (1, 0, 0, 1), strict=True):
        red, _, blue = map(int, re.findall(r"\d+", colour))
        gained = (value > 0) == bool(correct)
        assert (blue > red) == gained if value else red == blue


def test_mistakes_are_those_of_the_confusion_matrices(page):
    def numbers(title):
        card = page.locator("main > .card", has_text=title)
        texts = card.locator("svg .mark-text.role-mark text").all_text_contents()
        return [int(text) for text in texts if text.isdecimal()]

    before, after = (
        numbers(f"Confusion matrix of {CHANGED}")[start : start + 4] for start in (0, 4)
    )
    expected = [*before[1:3], *after[1:3]]
    assert sorted(numbers(f"Mistakes of {CHANGED}")) == sorted(filter(None, expected))


def test_bars_are_side_by_side_and_as_long_as_their_values(page):
    card = page.locator("main > .card", has_text=f"F1 of {CHANGED}")
    texts = card.locator("svg .mark-text.role-mark text").all_text_contents()
    boxes = card.locator("svg .mark-rect.role-mark path").evaluate_all(
        "(bars) => bars.map((bar) => bar.getBBox()).map(({ x, width }) => [x, width])"
    )
    starts, widths = np.array(boxes).T
    values = np.array(texts, float)
    assert len(values) == 4  # two classes in two revisions
    assert len({*texts}) > 1
    assert starts == pytest.approx(np.zeros(4), abs=0.01)  # none is stacked on another
    assert widths / max(widths) == pytest.approx(values / max(values), abs=0.002)


def test_plots_that_do_not_differ_are_folded_and_drawn_when_opened(page):
    names = page.locator("main > .card h2").all_text_contents()
    assert not [
        name for name in names if any(v in name for v in VARIANTS) and CHANGED not in name
    ]
    (folded,) = page.locator("main > details", has_text="Plots that do not differ").all()
    inside = folded.locator(".card").count()
    assert folded.locator("summary").first.inner_text().endswith(f": {inside}")
    assert not folded.locator("svg").count()
    links = page.locator("nav a").all_text_contents()
    assert "Confusion matrix of linear_binary, in test images" in links
    assert len(links) == page.locator("main > .card").count()
    for part in page.locator("main > details").all():
        part.locator("summary").first.click()
    wait_until_drawn(page, ".card")
    assert folded.locator("svg").count()
    assert not page.get_by_text("could not be drawn").count()
    empty = page.locator(".card", has_text="No data in these revisions")
    headings = [text.split() for text in empty.locator("h2").all_text_contents()]
    assert all(words[-2:] == ["mistakes", "csv"] for words in headings), headings
    assert page.locator("svg").get_by_text("Mistakes of linear_digits").is_visible()


AREAS = """
(text) => {
  const spec = JSON.parse(text);
  const data = (kind, rev, width) => Array.from({ length: 61 }, (_, i) => ({ kind, rev,
    filename: "a/scores.csv", class: "3", score: (i - 30) * width,
    count: Math.round(1000 * Math.exp(-(((i - 30) * width) ** 2))) }));
  spec.data.values = [...data("images", "wide", 0.5), ...data("images", "narrow", 0.1)];
  const place = document.body.appendChild(document.createElement("div"));
  return vegaEmbed(place, spec, { renderer: "svg" }).then(() =>
    Array.from(place.querySelectorAll(".mark-area path"), (path) => path.getBBox().height));
}
"""


@pytest.mark.parametrize("template", ["score_distribution", "score_ridges"])
def test_histograms_of_bins_of_any_width_are_densities(chromium, template):
    """The same scores in bins of two widths have the same height, up to the bins' edges."""
    text = (ROOT / ".dvc/plots" / f"{template}.json").read_text()
    for name, value in (("X", "score"), ("Y", "count")):
        text = text.replace(f"<DVC_METRIC_{name}>", value)
    text = text.replace('"<DVC_METRIC_DATA>"', "[]")
    page = chromium.new_page()
    page.goto((ROOT / ".dvc/page/page.html").as_uri())
    heights = [high for high in page.evaluate(AREAS, text) if high > 0]
    page.close()
    assert len(heights) == 2
    assert heights[0] == pytest.approx(heights[1], rel=0.1)


def test_a_tuning_has_an_error_bar_for_each_candidate_and_names_the_choice(page):
    card = page.locator("main > .card", has_text="Candidates of cut")
    texts = card.locator("svg text").all_text_contents()
    for value in ("0.1", "0.2", "0.3"):  # in this order, each once for both revisions
        assert texts.count(f"threshold = {value}") == 1
    shown = [text for text in texts if text.startswith("threshold = ")]
    assert shown == sorted(shown)
    assert sorted(text for text in texts if text in {"best", "simplest"}) == [
        "best", "best", "simplest", "simplest",
    ]  # fmt: skip
    assert "accuracy" in texts
    assert "log loss" not in texts  # there is none
    assert card.locator("svg .mark-rule.role-mark line").count() == 3 + 2
    assert card.evaluate("(card) => card.scrollWidth <= card.clientWidth")
