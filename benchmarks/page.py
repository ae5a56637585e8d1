"""Measure how fast the report page of MNIST answers, in Chromium.

    python -m benchmarks.page

It opens report/index.html several times, and then moves each kind of control while frames
are counted. The threshold is moved with a cell of the confusion matrix open that has as
many images as are shown at once.
"""

import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPENED = 5  # times
SETTLED = 4000  # ms after which all sections are filled
STEPS = 60  # moves of the pointer
RECORD = """() => {
  window.frames_ = [];
  let before = performance.now();
  const next = (now) => {
    frames_.push(now - before);
    before = now;
    window.counting = requestAnimationFrame(next);
  };
  window.counting = requestAnimationFrame((now) => { before = now; next(now); });
}"""
NOTE_READY = """
new MutationObserver(() => { window.filledAt ??= performance.now(); })
  .observe(document, { subtree: true, attributeFilter: ["data-ready"] });
"""
STOP = "() => { cancelAnimationFrame(counting); return frames_.slice(1); }"


def load(page: Page) -> tuple[float, float]:
    """Open the page; return the times of the first content, and of all sections, in ms."""
    page.goto((ROOT / "report/index.html").as_uri())
    page.wait_for_timeout(SETTLED)  # waiting for an element would run a script on the page
    filled = page.evaluate("window.filledAt")
    if filled is None:
        raise SystemExit(f"the sections were not filled within {SETTLED / 1000:g} s")
    first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    return page.evaluate(first), filled


def drag(page: Page, control: Locator) -> None:
    """Move the pointer over a control from left to right with the button down."""
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    assert box  # noqa: S101 (it is visible)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], y)
    page.mouse.down()
    for step in range(STEPS):
        page.mouse.move(box["x"] + (0.1 + 0.8 * step / STEPS) * box["width"], y)
    page.mouse.up()


def frames(page: Page, move: Callable[[], None]) -> list[float]:
    """Return the durations of the frames during a move, in ms."""
    page.wait_for_timeout(500)
    page.evaluate(RECORD)
    move()
    return page.evaluate(STOP)


def open_cell(page: Page) -> None:
    """Show the images of the largest cell of the two-digit variant."""
    cells = page.locator("#two-matrix button")
    counts = [int(text.replace(",", "")) for text in cells.all_text_contents()]
    cells.nth(counts.index(max(counts))).click()
    more = page.locator("#two-cell-images .more")
    if more.count():
        more.click()


def main() -> None:
    """Print the times of loading, and the frames of each control."""
    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        loads = []
        for _ in range(OPENED):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(NOTE_READY)
            loads.append(load(page))
        first, filled = (statistics.median(times) for times in zip(*loads, strict=True))
        print(f"first content: {first:.0f} ms; all sections: {filled:.0f} ms")
        drag(page, page.locator("#canvas"))  # so that there is a drawing
        open_cell(page)
        shown = page.locator("#two-cell-images button").count()
        print(f"images of the open cell: {shown}")
        print("control: median frame, 95 % of frames, longest frame (ms)")
        canvas = page.locator("#canvas")
        sliders = page.locator("input[type=range]:visible")
        controls = [("drawing", canvas)]
        controls += [(s.get_attribute("id") or "", s) for s in sliders.all()]
        for name, control in controls:
            times = sorted(frames(page, lambda control=control: drag(page, control)))
            high = times[int(0.95 * (len(times) - 1))]
            print(f"{name}: {statistics.median(times):.1f}, {high:.1f}, {times[-1]:.1f}")
        browser.close()


if __name__ == "__main__":
    main()
