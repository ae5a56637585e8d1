"""The section on the penalty: what is shown for each C is what the stage `path` wrote."""

import numpy as np
import pytest

from tests.helpers.browser import opened, visit, wait_until
from tests.helpers.pages import page_of, result

SUBSETS = ("digits", "binary")


@pytest.fixture(scope="module", params=SUBSETS)
def path(request, root):
    """The name of a subset, and its arrays as the stage wrote them."""
    with np.load(root / f"data/paths/{request.param}.npz") as file:
        return request.param, dict(file)


def percent(count, total):
    return f"{100 * count / total:.2f}%"


def pixels(page):
    """Return the colours of the weights as on their canvases: (n_outputs, n_pixels, 3)."""
    shown = page.locator("#penalty-images canvas").evaluate_all(
        """canvases => canvases.map((canvas) => [...canvas.getContext("2d")
          .getImageData(0, 0, canvas.width, canvas.height).data])"""
    )
    return np.array(shown).reshape(len(shown), -1, 4)[..., :3]


def test_the_table_and_the_answer_are_what_the_stage_found(page, path):
    subset, found = path
    visit(page, f"penaltySubset={subset}&penalty=0.01")
    rows = page.locator(f"#penalty [data-subset={subset}] tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    n_train, _, n_test, _ = found["sizes"]
    for i, (C, *cells) in enumerate(rows):
        assert f"{found['C'][i]:g}" == C
        (of_train, of_test), losses = found["errors"][i], found["log_loss"][i]
        assert cells[:4:2] == [percent(of_train, n_train), percent(of_test, n_test)]
        assert cells[1:4:2] == [f"{loss:.4f}" for loss in losses]
        level = found["half_levels"][i]
        assert cells[4] == (str(level) if level < 256 else "never")
    assert len(rows) == len(found["C"]) > 1
    answer = page.locator("#penalty .answer:visible").inner_text()
    for i in (0, -1):
        for count, total in zip(found["errors"][i], (n_train, n_test), strict=True):
            assert percent(count, total) in answer
    of_test = found["errors"][:, 1]
    lowest = (
        f"at C = {found['C'][of_test.argmin()]:g} it is {percent(of_test.min(), n_test)}"
    )
    assert (lowest in answer) == (of_test.min() < min(of_test[[0, -1]]))
    assert ("it is" in answer) == (lowest in answer)


def test_the_pictures_are_the_weights_of_the_chosen_C(page, path):
    subset, found = path
    for at in (0, len(found["C"]) - 1):
        visit(page, f"penaltySubset={subset}&penalty={found['C'][at]:g}")
        assert page.locator("#penalty-shown").inner_text() == f"{found['C'][at]:g}"
        shown, weights = pixels(page), found["weights"][at].astype(float) / 127
        assert shown.shape[:2] == weights.shape == (len(weights), weights[0].size)
        ends = {-1: (190, 92, 10), 1: (20, 88, 170)}  # against, for; 0 is white
        for sign, end in ends.items():
            chosen = np.sign(weights) == sign
            expected = 255 + np.abs(weights[chosen])[:, None] * (np.array(end) - 255)
            assert shown[chosen] == pytest.approx(expected, abs=1)
        assert (shown[weights == 0] == 255).all()
        limit = page.locator("#penalty-scale").inner_text()
        assert f"{found['limits'][at]:.2g}".rstrip("0") in limit


def test_a_keyboard_moves_C(page):
    slider = page.locator("#penalty-C")
    slider.focus()
    page.keyboard.press("Home")
    first = page.locator("#penalty tr[aria-current]").first
    assert page.locator("#penalty-shown").inner_text() == "0.0001"
    before = pixels(page)
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "C = 0.0003"
    assert page.locator("#penalty-shown").inner_text() == "0.0003"
    assert (pixels(page) != before).any()
    cells = first.locator("th, td").all_inner_texts()
    assert cells[0] == "0.0003"
    text = page.locator("#penalty-text").inner_text()
    assert f"{cells[1]} of the training images, {cells[3]} of the test images" in text
    assert f"by {cells[5]} grey level" in text
    wait_until(page, "location.hash.includes('penalty=0.0003')")
    page.keyboard.press("End")
    assert page.locator("#penalty-shown").inner_text() == "1"
    assert page.locator("#penalty-errors circle").count() == 2


def test_only_the_chosen_subset_is_shown_and_a_wrong_address_changes_nothing(page):
    start = page.locator("#penalty").inner_text()
    visit(page, "penaltySubset=none&penalty=5")
    assert page.locator("#penalty").inner_text() == start
    page.locator("#penalty-subset").select_option("binary")
    assert page.locator("#penalty .answer:visible").count() == 1
    assert page.locator("#penalty-images figure").count() == 1
    page.go_back()
    wait_until(page, "document.querySelectorAll('#penalty-images figure').length === 10")


def test_a_page_without_paths_has_no_such_section(chromium, tmp_path, tiny):
    results = [result("some", "softmax", (0, 1, 2), tiny.test)]
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text(page_of(results, tiny.test))
    with opened(chromium, tmp_path, "#penalty=0.01") as page:
        assert page.locator("#penalty, nav a[href='#penalty']").count() == 0
        assert page.locator("#weights").count() == 1
        assert page.seen == []
