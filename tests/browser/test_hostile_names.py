"""Names of classes, files and branches that a page or terminal could execute."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from digits.commands import compare
from digits.data import dataset
from digits.errors import InputError, printable
from digits.figures import labels, plots
from tests.helpers.project import (
    ROOT,
    Project,
    as_arrays,
    config_without_remotes,
    make,
    read_csv,
    write_params,
)

RUN = "document.title='run'"
SCRIPT = f"</script><script>{RUN}</script>"
NAMES = (
    SCRIPT,
    f"<img src=x onerror={RUN}>",
    f"</plaintext><svg onload={RUN}>",
    "<!--<script>",
    "=1+2",
    "-1",
    "@all",
    "a|b `c` [d](http://localhost) **e**",
    r"\frac{$_x^",
    "R&D &lt;",
)
BRANCH = f"{SCRIPT}<img/src=x/onerror={RUN}>"
FILES = (  # A name has no slash: </p> ends a folder's name and starts a file's.
    f"<img src=x onerror={RUN}>",
    f'"onerror="{RUN}',
    f"><script>{RUN}<",
    "50% #1?",
    '\n            <p>x</p>\n                    <img src="http://localhost/">\n',
)


def opened(chromium, path):
    """Open a page; its requests, errors and warnings are in `page.seen`."""
    page = chromium.new_context(offline=True).new_page()
    page.seen = []
    page.on("request", lambda request: page.seen.append(request.url))
    page.on("pageerror", lambda error: page.seen.append(str(error)))
    page.goto(path.as_uri())
    return page


def drawn(chromium, path):
    """Open a page of `dvc plots`, wait for its plots, and check that no script ran."""
    page = opened(chromium, path)
    page.evaluate(
        "for (const part of document.querySelectorAll('main > details')) part.open = true"
    )
    page.wait_for_function(
        "[...document.querySelectorAll('.card')].every("
        "(card) => card.querySelector('svg, img') || card.lastChild.textContent)"
    )
    assert page.title() == "DVC plots"
    scripts = page.locator("script, svg[onload], img[onerror]")
    assert scripts.count() == 4  # three of Vega, and the page's own
    assert not [url for url in page.seen if not url.startswith(path.parent.as_uri())]
    return page


@pytest.mark.slow
def test_the_page_of_plots_shows_unusual_names_and_runs_none(tmp_path, chromium):
    """Plots and images with unusual names on two branches, without a pipeline."""
    for name in ("page", "plots"):
        shutil.copytree(ROOT / ".dvc" / name, tmp_path / ".dvc" / name)
    (tmp_path / ".dvc/config").write_text(config_without_remotes())
    plots = ["pictures"]
    for i, name in enumerate(FILES):
        picture = tmp_path / "pictures" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8 + i, 8)).save(picture)
        path = tmp_path / f"{name.replace('/', '')}.csv"
        with path.open("w", newline="") as file:
            rows = [(a, b, 3) for a in (*NAMES, "a\nb") for b in (*NAMES, "a\nb")]
            csv.writer(file).writerows([("actual", "predicted", "count"), *rows])
        shown = {"template": "confusion_counts", "x": "predicted", "y": "actual"}
        plots.append({path.name: shown | {"title": NAMES[i]}})
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    project = Project(tmp_path)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    for key, value in (("name", "test"), ("email", "test@localhost")):
        project.run("git", "config", f"user.{key}", value)
    project.commit("Start")
    project.run("git", "branch", BRANCH)
    project.run("dvc", "plots", "diff", BRANCH, "--out", "page")
    page = drawn(chromium, tmp_path / "page/index.html")
    names = [name.replace("/", "") + ".csv" for name in FILES]
    headings = page.locator("main h2").all_text_contents()
    assert set(names) <= {*headings}
    assert set(page.locator("figcaption").all_text_contents()) == {"workspace", BRANCH}
    texts = set(page.locator("svg text").all_text_contents())
    assert {BRANCH, *NAMES[3:7]} <= texts  # Vega truncates longer ones
    widths = page.locator("img").evaluate_all("all => all.map((one) => one.naturalWidth)")
    # Except the name with lines of HTML, which is not that of a file.
    assert sorted(widths)[-8:] == [8, 8, 9, 9, 10, 10, 11, 11]


NOT_PRINTED = (
    "a\nb",
    "a\0b",
    "\x1b[2Jb",
    "a\x9bb",
    "a\u2028b",
    "a\u202eb",
    "a\u2069b",
    "a\udcffb",
)


@pytest.mark.parametrize("name", [*NOT_PRINTED, "a" * 101, "a" * 10**6, " "])
def test_an_unprintable_or_endless_name_is_refused_in_a_short_line(name):
    with pytest.raises(InputError, match=r"^names\.txt: .*name") as caught:
        dataset.check_names(["b", name], "names.txt")
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_ten_thousand_names_are_refused():
    with pytest.raises(InputError, match="names of 10000 classes"):
        dataset.check_names([f"class {i}" for i in range(10_000)], "names.txt")


@pytest.mark.parametrize(
    "name", [*NAMES, "-", "=", "C++", "שלום", "\u200fא", "👩\u200d👧", "a" * 100]
)
def test_a_printable_name_is_kept(name):
    assert dataset.check_names(["b", name], "names.txt") == ("b", name)


@pytest.mark.parametrize("name", NOT_PRINTED)
def test_control_characters_are_printed_as_escapes(name):
    assert printable(name).isprintable()
    assert printable(name) == name.encode("unicode_escape").decode()
    assert printable(name, keep=name) == name
    assert compare.code(name).isprintable()


def test_an_error_escapes_the_name_of_a_file(tmp_path, capfd):
    command = (sys.executable, "-m", "stages.check", "--in", "\x1b[2J\nno")
    subprocess.run(command, cwd=ROOT, check=False)
    said = capfd.readouterr().err
    assert said.startswith("error: \\x1b[2J\nno/params.yaml: cannot be read")


@pytest.mark.parametrize("name", [NAMES[8], r"\$x\$", "$$", "_^{}", "%d", "a\tb"])
def test_a_figure_can_show_any_name(tmp_path, name):
    (shown,) = labels.plot_labels([name])
    plots.confusion(tmp_path / "a.png", np.eye(2, dtype=int), [shown, "b"], "v")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def named(tmp_path_factory, tiny):
    """The pipeline on classes with these names, before and after another threshold."""
    project = make(tmp_path_factory.mktemp("named") / "project", tiny)
    np.savez(project.root / "data/own/tiny.npz", names=NAMES, **as_arrays(tiny))
    line = {
        "subset": "pair",
        "train": {"model": "linear_regression"},
        "evaluate": {"threshold": 0.5},
    }
    softmax = {
        "subset": "whole",
        "train": {"model": "multinomial_logistic", "C": 1.0, "max_iter": 99, "tol": 1e-4},
        "evaluate": {},
    }
    write_params(
        project,
        "data/own/tiny.npz",
        {"whole": {"classes": "all"}, "pair": {"classes": [NAMES[0], NAMES[7]]}},
        {"line": line, "softmax": softmax},
    )
    project.repro()
    project.commit("Run")
    project.run("git", "branch", BRANCH)
    project.edit("threshold: 0.5", "threshold: 5.0")
    project.repro()
    project.commit("Cut at 5")
    return project


@pytest.mark.slow
def test_both_pages_show_the_names_and_run_none(named, chromium, tmp_path):
    named.run("dvc", "plots", "diff", BRANCH, "--out", str(tmp_path))
    drawn(chromium, tmp_path / "index.html")
    page = opened(chromium, named.root / "report/index.html")
    page.locator("html[data-ready]").wait_for()
    page.locator("#confusion-variant").select_option("softmax")
    page.locator("#random-image").click()
    heads = page.locator("#confusion-matrix th[scope=row]").all_text_contents()
    assert [text.strip("\u2068\u2069") for text in heads] == list(NAMES)
    assert "run" not in page.title()
    assert page.seen[1:] in ([], ["data:,"])
    assert page.locator("img[onerror], svg[onload]").count() == 0


@pytest.mark.slow
def test_tables_have_the_names_unchanged(named):
    rows = read_csv(named.root / "metrics/softmax/report.csv")
    assert [row["class"] for row in rows] == list(NAMES)


@pytest.mark.slow
def test_the_comparison_shows_names_as_code_in_its_cells(named):
    said = named.run("python", "-m", "digits", "compare", BRANCH).stdout
    rows = [line for line in said.splitlines() if " predicted as " in line]
    assert any(
        row.startswith(f"| `line` | `a b c {NAMES[7][8:]} predicted as") for row in rows
    )
    assert {(row.count("|"), row.count("`")) for row in rows} == {(6, 4)}
    assert f"| parameter | `{BRANCH}` | `workspace` |" in said


@pytest.mark.slow
def test_predict_prints_the_names_unchanged(named, tiny):
    Image.fromarray(tiny.test.images[0]).save(named.root / "picture.png")
    picture = ("python", "-m", "digits", "predict", "--json", "picture.png")
    (answer,) = json.loads(named.run(*picture).stdout)
    assert {*answer["variants"]["softmax"]["probabilities"]} == {*NAMES}
