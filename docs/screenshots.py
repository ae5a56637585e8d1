"""Take the screenshots of the report page for the README.

reads   report/index.html, as `dvc repro` wrote it for MNIST
writes  docs/page-light.png: drawing and the data, 1280 pixels wide, light
        docs/page-dark.png: the thresholds on a phone, 390 pixels wide, dark
"""

import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def opened(browser: Browser, width: int, scheme: str, fragment: str) -> Page:
    """Open the page.

    Args:
        browser: Chromium.
        width: Of the window, in pixels.
        scheme: "light" or "dark".
        fragment: Of the address, with its `#`; it says what the page shows.
    """
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page.goto((ROOT / "report/index.html").as_uri() + fragment)
    page.locator("html[data-ready]").wait_for()
    return page


def draw_a_seven(page: Page) -> None:
    """Draw a 7 with the mouse."""
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box  # noqa: S101 (the area is visible)
    points = [(0.26, 0.27), (0.72, 0.23), (0.44, 0.82)]
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=15)
    page.mouse.up()
    page.mouse.move(0, 0)


def take(page: Page, name: str, first: str, last: str, bottom: int | None = None) -> None:
    """Save a screenshot from the top of one element to the bottom of another.

    Args:
        page: The open page.
        name: Of the file in docs/.
        first: The selector of the upper element.
        last: The selector of the lower element.
        bottom: The greatest height, in pixels.
    """
    page.evaluate("scrollTo(0, 0)")
    start, end = (page.locator(which).bounding_box() for which in (first, last))
    assert start  # noqa: S101 (the elements are visible)
    assert end  # noqa: S101
    high = end["y"] + end["height"] - start["y"]
    width = page.viewport_size["width"] if page.viewport_size else 0
    clip = {"x": 0, "y": start["y"] - 8, "width": width, "height": high + 16}
    if bottom:
        clip["height"] = min(clip["height"], bottom)
    page.screenshot(path=ROOT / "docs" / name, full_page=True, clip=clip)


def main() -> None:
    """Open, draw, take."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise SystemExit("no Chromium: install Debian's package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = opened(browser, 1280, "light", "")
        draw_a_seven(page)
        take(page, "page-light.png", "#draw", "#data")
        page = opened(browser, 390, "dark", "#section=thresholds")
        take(page, "page-dark.png", "#thresholds", "#thresholds", 900)
        browser.close()


if __name__ == "__main__":
    main()
