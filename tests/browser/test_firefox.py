"""What Firefox must do in every run of the slow tests; see also the marker `firefox`."""

import pytest

from tests.browser.test_page import scores_are_the_pipelines
from tests.helpers.browser import draw, opened_in_firefox
from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow
VERDICTS = "Array.from(document.querySelectorAll('article .verdict'), (v) => v.textContent)"


@pytest.fixture
def page(firefox, root):
    """The page, which must load nothing and log no error, whatever a test does."""
    with opened_in_firefox(firefox, root) as page:
        yield page


def test_a_drawing_is_answered_and_restored_from_its_address(page):
    assert page.evaluate("digits.modelInput()") is None
    draw(page, (0.28, 0.24), (0.5, 0.24), (0.72, 0.24), (0.6, 0.5), (0.45, 0.8))
    drawn = page.evaluate("digits.modelInput()")
    assert sum(drawn) > 0
    answers = page.evaluate(VERDICTS)
    assert any(answer.strip().isdigit() for answer in answers)
    page.until("location.hash.includes('ink-')")
    page.goto(page.evaluate("location.href"))
    assert page.evaluate("digits.modelInput()") == drawn
    assert page.evaluate(VERDICTS) == answers
    page.seen.clear()  # the page itself


def test_scores_are_those_of_the_pipeline(page, root):
    for variant in page.evaluate("digits.variants"):
        scores_are_the_pipelines(page, root, variant)


def test_a_threshold_moves_with_the_keyboard(page):
    page.evaluate("document.querySelector('#two-threshold-0').focus()")
    before = page.evaluate("Number(document.querySelector('#two-threshold-0').value)")
    text = page.locator("#two-result").inner_text()
    for _ in range(40):
        page.press("ArrowRight")
    assert page.locator("#two-result").inner_text() != text
    assert (
        page.evaluate("Number(document.querySelector('#two-threshold-0').value)") > before
    )


def test_no_section_is_wider_than_a_phone(page):
    page.resize(390, 844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.results
def test_lenet5s_scores_are_the_pipelines(firefox):
    with opened_in_firefox(firefox, ROOT) as page:
        scores_are_the_pipelines(page, ROOT, "lenet5")
