"""The report page in a browser: open it, wait, draw, and what it should show."""

import csv
from contextlib import contextmanager

import numpy as np
import pytest

MNIST = pytest.param("mnist", marks=pytest.mark.results)
NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
LAY_OUT = "document.documentElement.dataset.whole = ''"


@contextmanager
def opened(chromium, root, fragment="", name="index.html", *, whole=True, **context):
    """Open the page without a network; its requests and errors are in `page.seen`.

    Args:
        chromium: The browser.
        root: The folder of the project.
        fragment: Of the address.
        name: Of the file.
        whole: Whether to lay out all sections: the others have no `innerText`.
        context: Settings of the browser's window.
    """
    context = {"viewport": {"width": 1280, "height": 900}, **context}
    window = chromium.new_context(offline=True, reduced_motion="reduce", **context)
    page = window.new_page()
    page.seen = []
    page.on("console", lambda message: page.seen.append(message.text))
    page.on("pageerror", lambda error: page.seen.append(str(error)))
    page.on("request", lambda request: page.seen.append(request.url))
    address = (root / "report" / name).as_uri()
    page.goto(address + fragment)
    page.locator("html[data-ready]").wait_for()
    if whole:
        page.evaluate(LAY_OUT)
    page.seen = [
        text for text in page.seen if text not in (address, address + fragment, "data:,")
    ]
    yield page
    window.close()


@contextmanager
def opened_in_firefox(firefox, root):
    """Open the page in Firefox, which must load nothing and log no error."""
    firefox.resize()
    firefox.goto((root / "report/index.html").as_uri())
    firefox.evaluate(LAY_OUT)
    firefox.seen.clear()  # the page itself
    yield firefox
    firefox.evaluate("0")  # all that was logged before has arrived
    assert firefox.seen == []


def wait_until(page, expression):
    """Wait until an expression is true; the page's policy forbids `wait_for_function`."""
    for _ in range(150):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(expression)


def visit(page, fragment):
    """Change the address as a reader does, and wait until the page has read it."""
    page.evaluate(f"location.hash = '{fragment}'")
    wait_until(page, "history.state === 'written'")


def table(path):
    """Return the counts of a confusion.csv by (actual, predicted)."""
    with path.open(newline="") as file:
        return {
            f"{row['actual']}-{row['predicted']}": int(row["count"])
            for row in csv.DictReader(file)
        }


def predictions(root, variant):
    with np.load(root / f"data/predictions/{variant}.npz") as file:
        return dict(file)


def draw(page, *points):
    """Draw a line with the mouse through points given as fractions of the area."""
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=12)
    page.mouse.up()


def verdict(page, variant):
    card = page.locator(
        "article", has=page.get_by_role("heading", name=variant, exact=True)
    )
    return card.locator(".verdict").inner_text()
