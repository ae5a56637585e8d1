"""The page that compares two revisions, in a browser, on the generated data."""

import json
from importlib import resources

import numpy as np
import pytest

from digits.data import dataset
from tests.helpers.browser import opened, table
from tests.helpers.project import read_csv

MINUS = "\N{MINUS SIGN}"
VARIANT = "linear_digits"

pytestmark = pytest.mark.slow  # unit/test_comparison.py has the contents


@pytest.fixture(scope="module")
def project(done, tmp_path_factory):
    """Two commits, in which two variants predict other classes."""
    project = done.copy(tmp_path_factory.mktemp("changed") / "project")
    project.edit("threshold: 0.49", "threshold: 0.0")
    project.edit("[0.5, 1.5, 2.5,", "[0.2, 1.9, 2.5,")
    project.repro("evaluate@linear_binary", "evaluate@linear_digits")
    project.commit("Move thresholds")
    result = project.run("python", "-m", "digits", "compare", "HEAD~1", "HEAD", "--page")
    assert result.stderr == "report/comparison.html: open it in a browser\n"
    return project


def at(project, revision, path):
    """Write a file of a commit to a temporary place, and return it."""
    target = project.root / ".git/kept" / revision / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(project.run("git", "show", f"{revision}:{path}").stdout)
    return target


@pytest.fixture(scope="module")
def page(chromium, project):
    with opened(chromium, project.root, name="comparison.html", whole=False) as page:
        yield page
        assert page.seen == []


def test_a_link_leads_to_its_section_and_it_stays_there(page):
    for link in page.locator("nav a").all():
        link.click()
        page.wait_for_timeout(200)
        part = page.locator(f"section{link.get_attribute('href')}")
        assert 0 < part.bounding_box()["y"] < 900
    assert page.evaluate("document.documentElement.dataset.whole") == ""


@pytest.fixture
def section(page):
    return page.locator("section", has=page.get_by_role("heading", name=VARIANT))


@pytest.fixture(scope="module")
def wrong(project):
    """The mistakes of both commits: the actual and the predicted class by image."""
    return [
        {
            int(row["image"]): (row["actual"], row["predicted"])
            for row in read_csv(at(project, revision, f"metrics/{VARIANT}/mistakes.csv"))
        }
        for revision in ("HEAD~1", "HEAD")
    ]


def groups(section):
    """Return the numbers of the images in each group, by the group's title."""
    return section.locator(".flips").evaluate(
        "(place) => Object.fromEntries(Array.from(place.querySelectorAll('h4'), (title) =>"
        " [title.textContent, Array.from(title.nextElementSibling.querySelectorAll('.of'),"
        " (number) => Number(number.lastChild.textContent))]))"
    )


def test_the_matrix_is_the_difference_of_both(page, project, section):
    before, after = (
        table(at(project, revision, f"metrics/{VARIANT}/confusion.csv"))
        for revision in ("HEAD~1", "HEAD")
    )
    cells = section.locator("button.cell").evaluate_all(
        "(cells) => cells.map((cell) => [cell.value, cell.textContent, cell.className])"
    )
    assert len(cells) == 100
    assert before != after
    for name, text, kind in cells:
        change = after[name] - before[name]
        assert int(text.replace(MINUS, "-")) == change
        assert ("+" in text) == (change > 0)
        on_diagonal = len(set(name.split("-"))) == 1
        gained = change > 0 if on_diagonal else change < 0
        assert ("correct" in kind.split()) == (gained or change == 0)


def test_the_images_are_those_of_both_lists(project, section, wrong):
    a, b = wrong
    names = {
        "Only A correct": b.keys() - a.keys(),
        "Only B correct": a.keys() - b.keys(),
        "Both wrong, but differently": {
            image for image in a.keys() & b.keys() if a[image] != b[image]
        },
    }
    expected = {
        f"{name}: {len(images)} image{'' if len(images) == 1 else 's'}": sorted(images)
        for name, images in names.items()
        if images
    }
    assert len(expected) > 1
    assert groups(section) == expected
    flipped = sum(map(len, names.values()))
    text = section.inner_text()
    assert f"{flipped} images of 120" in text


def test_the_pictures_are_the_test_images(project, section):
    images = dataset.load_split(project.root / "data/raw/test").images
    drawn = section.locator(".flips li").evaluate_all(
        """(items) => items.map((item) => {
          const context = document.createElement("canvas").getContext("2d");
          context.drawImage(item.querySelector("img"), 0, 0);
          const data = context.getImageData(0, 0, 8, 8).data;
          return [Number(item.querySelector(".of").lastChild.textContent),
            Array.from(data.filter((_, i) => i % 4 === 3))];
        })"""
    )
    assert len(drawn) > 3
    for number, pixels in drawn:
        assert np.array_equal(np.reshape(pixels, (8, 8)), images[number])


def test_a_cell_shows_its_images_and_again_all(section, wrong):
    a, b = wrong
    everything = groups(section)
    image = min(b.keys() - a.keys())
    cell = section.locator(f"button[value='{'-'.join(b[image])}']")
    cell.focus()
    cell.press("Enter")
    assert cell.get_attribute("aria-pressed") == "true"
    title, shown = next(iter(groups(section).items()))
    assert title.startswith("In this cell only in B: ")
    there = {n for n, cell in b.items() if cell == b[image] and a.get(n) != cell}
    assert shown == sorted(there)
    assert (
        section.locator(".cell-title")
        .inner_text()
        .startswith(f"Actual {b[image][0]}, predicted {b[image][1]}: ")
    )
    cell.press("Enter")
    assert groups(section) == everything


def test_the_table_has_the_metrics(page, project):
    section = page.locator("#metrics")
    for variant in ("linear_binary", VARIANT):
        body = section.locator("tbody", has_text=variant)
        shown = {
            cells[0]: cells[1:3]
            for cells in body.locator("tr:not(.group)").evaluate_all(
                "(rows) => rows.map((row) => Array.from(row.cells, (c) => c.textContent))"
            )
        }
        path = f"metrics/{variant}.json"
        before, after = (
            json.loads(at(project, revision, path).read_text())
            for revision in ("HEAD~1", "HEAD")
        )
        assert shown["accuracy"] == [f"{v['accuracy']:g}" for v in (before, after)]
        assert shown["errors"] == [str(v["errors"]) for v in (before, after)]
    row = page.locator("#accuracy tbody tr", has_text="linear_binary")
    assert "worse" in row.inner_text()
    assert "0.0156" in row.inner_text()  # 2 · 2 / 2⁸: Holm's correction for two variants
    assert page.locator("#parameters tbody tr").count() == 2
    assert "0.49 → 0" in page.locator("#parameters").inner_text()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
    ],
)
def test_an_accessibility_check_finds_no_violation(chromium, project, width, scheme):
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    window = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with opened(chromium, project.root, name="comparison.html", **window) as page:
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [
            (fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
            for fault in found["violations"]
        ] == []
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_an_address_leads_to_a_section_that_is_filled(chromium, project):
    with opened(chromium, project.root, "#variant-1", name="comparison.html") as page:
        top = page.locator("#variant-1").evaluate("(s) => s.getBoundingClientRect().top")
        assert 0 <= top < 900
        assert page.locator("#variant-1 button.cell").count()
