"""What the documentation names exists, and its figures are those of the results."""

import csv
import json
import os
import re
import subprocess
from importlib import import_module

import pytest
import yaml

from digits import certainty, methods
from digits.commands import tune
from digits.config import params
from tests.helpers.documentation import PAGES, anchors
from tests.helpers.project import PARAMS, ROOT

README = PAGES["README.md"]
PARAMETERS = PAGES["docs/parameters.md"]
DOCS = "\n".join(PAGES.values())
OPTIONS = {name: import_module(f"digits.methods.{name}").Options for name in methods.NAMES}
NONE = "\N{EN DASH}"  # in a table
GENERATED = ("metrics/", "data/", "report/")  # by the pipeline, or a user's
OPTIONAL = ("published/", "tuning/dvc.lock")  # docs/your-own-project.md removes them


def in_git(path):
    """Return a file as it is staged or committed.

    Not the file in the working tree: without AVX2, LeNet-5 learns slightly different
    weights.
    """
    command = ["git", "show", f":{path}"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def links(page):
    """Return the links of a page to other files and to headings, as (path, anchor)."""
    found = re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", PAGES[page])
    folder = (ROOT / page).parent
    return [
        (os.path.relpath(folder / file if file else ROOT / page, ROOT), anchor)
        for file, anchor in found
        if file or anchor
    ]


@pytest.mark.results
def test_every_figure_of_the_results_exists():
    figures = [file for page in PAGES for file, _ in links(page) if file.endswith(".png")]
    assert figures
    assert all((ROOT / file).is_file() for file in figures)


@pytest.mark.results
def test_the_table_of_results_is_that_of_the_metrics():
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (\d\.\d+) \| (\d\.\d{4} to \d\.\d{4}) \| (\d+) of (\d+) \|$",
        README,
        re.MULTILINE,
    )
    assert [row[0] for row in rows] == [*params.load(ROOT / "params.yaml").variants]
    for variant, accuracy, interval, errors, n_samples in rows:
        values = json.loads(in_git(f"metrics/{variant}.json"))
        assert float(accuracy) == values["accuracy"], variant
        assert int(errors) == values["errors"], variant
        assert round(1 - int(errors) / int(n_samples), 6) == values["accuracy"], variant
        n_right = int(n_samples) - int(errors)
        low, high = certainty.wilson(n_right, int(n_samples))
        assert interval == f"{low:.4f} to {high:.4f}", variant
        assert errors == "0" or not interval.endswith("1.0000"), variant


@pytest.mark.results
def test_the_accuracies_of_tunings_are_their_results():
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d., …]+) \| (0\.\d+ ± 0\.\d+) \| ([\d., …]+) \| (.+ ± .+) \|$",
        README,
        re.MULTILINE,
    )
    assert len(rows) == 4
    for name, value, accuracy, best, accuracy_of_best in rows:
        table = [*csv.reader(in_git(f"tuning/{name}/values.csv").splitlines())]
        found = {row[0].strip("[]"): row for row in table}
        for start, shown in ((value, accuracy), (best, accuracy_of_best)):
            whole, _, _ = start.partition(", …")
            (row,) = (
                row
                for key, row in found.items()
                if key == whole or key.startswith(f"{whole}, ")
            )
            assert shown == f"{float(row[1]):.5f} ± {float(row[2]):.5f}", name
            assert ("best" in row[7]) == (start == best), name


@pytest.mark.results
def test_the_worked_example_agrees_with_the_metrics():
    """It starts with the threshold and the metrics that are in Git."""
    shown = re.search(r"linear_binary\.json +accuracy +([\d.]+)", README)
    values = json.loads(in_git("metrics/linear_binary.json"))
    assert shown
    assert round(float(shown[1]), 5) == round(values["accuracy"], 5)


@pytest.mark.results
def test_the_tests_use_the_parameters_of_the_readme():
    whole = params.load(ROOT / "params.yaml")
    assert params.load(PARAMS) == whole.model_copy(update={"tuning": {}})  # they take long


@pytest.mark.results
def test_the_speeds_are_those_of_the_benchmark():
    measured = (ROOT / "benchmarks/solvers.md").read_text()
    page = PAGES["docs/performance.md"]
    rows = re.findall(
        r"^\| (.+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE
    )
    assert len(rows) == 7
    for what, ours, theirs, ratio in rows:
        pattern = rf"{re.escape(what)} \| {ours} \(.*\) \| {theirs} \(.*\) \| {ratio} \|"
        assert re.search(pattern, measured), what


@pytest.mark.results
def test_the_accuracies_are_those_of_the_notebook_and_of_the_metrics():
    notebook = import_module("digits.report.notebook_results").RESULTS
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (\d\.\d{4}) \| (\d\.\d{4}) \|$",
        PAGES["docs/notebook.md"],
        re.MULTILINE,
    )
    assert [row[0] for row in rows] == [*notebook]
    for variant, before, here in rows:
        assert float(before) == round(notebook[variant].accuracy, 4), variant
        values = json.loads(in_git(f"metrics/{variant}.json"))
        assert float(here) == round(values["accuracy"], 4), variant


@pytest.mark.results
def test_the_example_of_a_tuning_is_its_result():
    shown = re.search(r"(?s)\n…\n(one_vs_rest_C: .*?)\n```", PAGES["docs/tuning.md"])
    checked = params.load(ROOT / "params.yaml")
    table = tune.result(ROOT, "one_vs_rest_C")
    assert shown
    assert shown[1] == tune.summary(checked, "one_vs_rest_C", table)


def test_the_readme_is_short():
    text = re.sub(r"(?ms)^```.*?^```$|^\|.*?$|^<!--.*?-->$", "", README)
    assert len(text.split()) <= 1000


def test_every_page_is_found_from_the_readme():
    found, new = set(), {"README.md"}
    while new:
        page = new.pop()
        found.add(page)
        new |= {file for file, _ in links(page) if file in PAGES} - found
    assert found == {*PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_heading_that_is_linked_exists(page):
    for file, anchor in links(page):
        made = re.match(r"metrics/|tuning/.*\.png$", file)
        if made or not (ROOT / file.partition("/")[0]).exists():
            continue  # made by the pipeline; or published/, which may be removed
        assert (ROOT / file).exists(), file
        assert not anchor or anchor in anchors(ROOT / file), f"{file}#{anchor}"


def test_every_module_that_is_named_exists():
    present = {path.name for path in ROOT.glob("**/*.py") if ".venv" not in path.parts}
    named = {*re.findall(r"\b(\w+\.py)\b", DOCS)} - {"NAME.py"}
    assert named
    assert not named - present


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_is_named_exists(page):
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} | {".ci", ".dvc"}
    for path in re.findall(r"`([\w.]+/[\w./-]*)`", PAGES[page]):
        first = path.partition("/")[0]
        if first in folders and not path.startswith(GENERATED) and "NAME" not in path:
            ignored = (".dvc/tmp", "data", *OPTIONAL)
            assert (ROOT / path).exists() or path.startswith(ignored), path


def test_the_tree_of_the_architecture_is_that_of_the_code():
    tree = re.search(r"(?ms)^<!-- tree.*?^```text\n(.*?)^```", PAGES["ARCHITECTURE.md"])
    assert tree
    named, folder = set(), ""
    for indent, name in re.findall(r"(?m)^( {0,2})([\w.]+/?)(?= |$)", tree[1]):
        folder = folder if indent else name
        named.add(f"{folder}{name}" if indent else name)
    named -= {"data/", "metrics/"}  # a run makes these
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not [name for name in missing if not name.startswith(OPTIONAL)]
    for folder in ("digits", "stages"):
        for path in (ROOT / folder).iterdir():
            if not path.name.startswith("__"):
                name = f"{folder}/{path.name}" + "/" * path.is_dir()
                assert name in named, f"ARCHITECTURE.md does not name {name}"


def test_the_complete_parameters_for_own_data_are_valid(tmp_path):
    text = re.search(
        r"(?m)^<!-- complete.*\n```yaml\n((?:(?!```).*\n)*)", PAGES["docs/data.md"]
    )
    assert text
    path = tmp_path / "params.yaml"
    path.write_text(text[1])
    for subset in params.load(path).subsets.values():
        assert not list(subset.broken_rules(("cat", "dog")))


def test_every_message_is_one_of_the_code():
    table = PAGES["docs/troubleshooting.md"].split("## ")[1]
    cells = re.findall(r"(?m)^\| ([^|]+) \|", table)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 9
    sources = [*ROOT.glob("digits/**/*.py"), *ROOT.glob("stages/*.py")]
    code = re.sub(r'"\s*f?"', "", "".join(path.read_text() for path in sources))
    for message in messages:
        assert message.strip("… ") in code, message


def test_every_model_is_described_as_in_the_report():
    rows = dict(
        re.findall(
            rf"^\| `(\w+)` \| ([^|]+) \| (?:{NONE}|`threshold)", PARAMETERS, re.MULTILINE
        )
    )
    assert rows == {name: options.summary for name, options in OPTIONS.items()}


def test_every_parameter_of_a_model_is_described():
    table = PARAMETERS.split("## Parameters of `train`")[1]
    described = set()
    for parameters, models in re.findall(r"(?m)^\| (`[^|]+`) \| ([^|]+) \|", table):
        for parameter in re.findall(r"`(\w+)`", parameters):
            named = OPTIONS if models == "all" else re.findall(r"`(\w+)`", models)
            described |= {(parameter, model) for model in named}
    expected = {
        (parameter, model)
        for model, options in OPTIONS.items()
        for parameter in options.model_fields
        if parameter != "model"
    }
    assert described == expected


def test_every_parameter_that_a_command_sets_exists():
    content = yaml.safe_load(PARAMS.read_text())
    named = re.findall(r"-S '?(variants\.[\w.]+)=", DOCS)
    assert named
    for path in named:
        value = content
        for key in path.split("."):
            value = value[key]
