"""The report page in Firefox: the same answers as in Chromium and in the pipeline."""

import numpy as np
import pytest

from digits.data import dataset
from digits.models import serialization

pytestmark = pytest.mark.slow
ARROW_RIGHT = "\ue014"
VERDICTS = "Array.from(document.querySelectorAll('article .verdict'), (v) => v.textContent)"


@pytest.fixture
def page(firefox, root):
    """The page, which must load nothing and log no error, whatever a test does."""
    address = (root / "report/index.html").as_uri()
    firefox.goto(address)
    yield firefox
    firefox.evaluate("0")  # all that was logged before has arrived
    assert [text for text in firefox.seen if not text.startswith((address, "data:"))] == []


def box_of(page, selector):
    """Scroll an element into view; return its left, top, width and height."""
    element = f"document.querySelector('{selector}')"
    page.evaluate(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    box = f"{element}.getBoundingClientRect()"
    page.until(f"{box}.top >= 0 && {box}.bottom <= innerHeight")
    return page.evaluate(f"(({{ x, y, width, height }}) => [x, y, width, height])({box})")


def draw(page, *points):
    """Draw a line with the mouse through points given as fractions of the area."""
    x, y, width, height = box_of(page, "#canvas")
    page.draw([(x + a * width, y + b * height) for a, b in points])


def test_scores_are_those_of_the_pipeline(page, root):
    images = dataset.load_split(root / "data/raw/test").images
    for variant in page.evaluate("digits.variants"):
        numbers = page.evaluate(f"digits.images('{variant}')")[:500]
        scores = page.evaluate(f"{numbers}.map((i) => digits.scores('{variant}', i))")
        answers = page.evaluate(f"{numbers}.map((i) => digits.predict('{variant}', i))")
        model = serialization.load(root / f"data/models/{variant}.npz")
        assert np.array_equal(scores, model.scores(images[numbers])), variant
        with np.load(root / f"data/predictions/{variant}.npz") as expected:
            assert answers == expected["predicted"][: len(numbers)].tolist(), variant


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


def test_a_threshold_moves_with_the_keyboard(page):
    page.evaluate("document.querySelector('#two-threshold-0').focus()")
    result = "document.querySelector('#two-result').textContent"
    before = page.evaluate("Number(document.querySelector('#two-threshold-0').value)")
    text = page.evaluate(result)
    page.press(*[ARROW_RIGHT] * 40)
    assert (
        page.evaluate("Number(document.querySelector('#two-threshold-0').value)") > before
    )
    assert page.evaluate(result) != text


def test_certainty_moves_with_the_keyboard_and_costs_with_a_number(page):
    page.evaluate("document.querySelector('#unsure-level').focus()")
    answered = "document.querySelector('#unsure-table td').textContent"
    before = page.evaluate(answered)
    page.press(*[ARROW_RIGHT] * 20)
    assert page.evaluate(answered) != before
    page.until("location.hash.includes('certainty=')")
    page.evaluate("document.querySelector('#cost-low').focus()")
    page.press("9")
    page.until("location.hash.includes('costs=')")
    assert "in use" in page.evaluate("document.querySelector('#costs-table').textContent")
    curves = "document.querySelectorAll('#curves .line, #unsure-curves .line').length"
    assert page.evaluate(curves) >= 4
    assert page.evaluate("document.querySelector('nav [aria-current]') !== null")


def test_no_section_is_wider_than_a_phone(page):
    page.resize(390, 844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
