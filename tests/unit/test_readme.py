"""What the documentation names exists, and its figures are those of the results."""

import json
import re
import subprocess
from importlib import import_module

import pytest
import yaml

from digits import methods
from digits.config import params
from tests.helpers.project import PARAMS, ROOT

README = (ROOT / "README.md").read_text()
if not (ROOT / "published").is_dir():  # without it, its section is not checked
    README = re.sub(r"(?ms)^## Beside the published results\n.*?(?=^## )", "", README)
PATHS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
DOCS = "\n".join(
    [README, *(path.read_text() for path in PATHS if path.name != "README.md")]
)


def in_git(path):
    """Return a file as it is staged or committed.

    Not the file in the working tree: on another processor than that of the commit,
    LeNet-5 learns slightly different weights.
    """
    command = ["git", "show", f":{path}"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def linked(path):
    """Return the files that a Markdown file links to."""
    links = re.findall(r"\]\(([^)#:\s]+)\)", path.read_text())
    return [path.parent / link for link in links]


def made(file):
    """Return whether the pipeline produces a file."""
    return (ROOT / "metrics") in file.parents


@pytest.mark.results
def test_every_figure_in_the_readme_exists():
    pictures = [file for file in linked(ROOT / "README.md") if made(file)]
    assert pictures
    assert all(file.is_file() for file in pictures)


@pytest.mark.results
def test_the_table_of_results_is_that_of_the_metrics():
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (\d\.\d+) \| (\d+) of (\d+) \|$", README, re.MULTILINE
    )
    assert [row[0] for row in rows] == [*params.load(ROOT / "params.yaml").variants]
    for variant, accuracy, errors, n_samples in rows:
        values = json.loads(in_git(f"metrics/{variant}.json"))
        assert float(accuracy) == values["accuracy"], variant
        assert int(errors) == values["errors"], variant
        assert round(1 - int(errors) / int(n_samples), 6) == values["accuracy"], variant


@pytest.mark.results
def test_the_worked_example_agrees_with_the_metrics():
    """It starts with the threshold and the metrics that are in Git."""
    shown = re.search(r"linear_binary\.json +accuracy +([\d.]+)", README)
    values = json.loads(in_git("metrics/linear_binary.json"))
    assert shown
    assert round(float(shown[1]), 5) == round(values["accuracy"], 5)


@pytest.mark.results
def test_the_tests_use_the_parameters_of_the_readme():
    assert params.load(PARAMS) == params.load(ROOT / "params.yaml")


@pytest.mark.results
def test_the_speeds_are_those_of_the_benchmark():
    measured = (ROOT / "benchmarks/solvers.md").read_text()
    rows = re.findall(
        r"^\| (.+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", README, re.MULTILINE
    )
    assert len(rows) == 7
    for what, ours, theirs, ratio in rows:
        pattern = rf"{re.escape(what)} \| {ours} \(.*\) \| {theirs} \(.*\) \| {ratio} \|"
        assert re.search(pattern, measured), what


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_file_that_is_linked_exists(path):
    assert not [file for file in linked(path) if not file.exists() and not made(file)]


def test_every_file_of_tests_that_is_named_exists():
    named = set(re.findall(r"tests/[\w/]+\.(?:py|yaml)", DOCS))
    assert named
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_every_model_is_described_as_on_the_page():
    rows = dict(
        re.findall(
            r"^\| `(\w+)` \| ([^|]+) \| (?:nothing|`threshold)", README, re.MULTILINE
        )
    )
    modules = {name: import_module(f"digits.methods.{name}") for name in methods.NAMES}
    assert rows == {name: module.Options.summary for name, module in modules.items()}


def test_every_make_target_that_is_named_exists():
    makefile = "".join(p.read_text() for p in (ROOT / "Makefile", *ROOT.glob("*/*.mk")))
    named = set(re.findall(r"(?m)(?:^|`)make (?:PYTHON=\S+ )?([a-z-]+)", DOCS))
    assert named >= {"repro", "test"}
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in named), named


def test_every_module_that_is_run_exists():
    named = set(re.findall(r"python -m ([a-z_.]+)", DOCS))
    assert named >= {"commands.predict", "commands.compare"}
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in named), named


def test_every_parameter_named_exists():
    content = yaml.safe_load(PARAMS.read_text())
    named = re.findall(r"-S '?(variants\.[\w.]+)=", DOCS)
    assert named
    for path in named:
        value = content
        for key in path.split("."):
            value = value[key]


def test_the_build_for_a_gpu_is_of_the_version_that_is_locked():
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"(?m)^tensorflow(?:-cpu)?==(\S+)", lock))
    assert locked >= set(re.findall(r"'tensorflow\[and-cuda\]==([\d.]+)'", DOCS))
