import json
import re

import yaml
from tiny import ROOT

README = (ROOT / "README.md").read_text()
if not (ROOT / "published").is_dir():  # without it, its section is dead text
    README = re.sub(r"(?ms)^## Beside the published results\n.*?(?=^## )", "", README)


def test_the_table_of_results_is_that_of_the_metrics():
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (\d\.\d+) \| (\d+) of (\d+) \|$", README, re.MULTILINE
    )
    assert {row[0] for row in rows} == {path.stem for path in ROOT.glob("metrics/*.json")}
    for variant, accuracy, errors, n_samples in rows:
        values = json.loads((ROOT / f"metrics/{variant}.json").read_text())
        assert float(accuracy) == values["accuracy"], variant
        assert int(errors) == values["errors"], variant
        assert round(1 - int(errors) / int(n_samples), 6) == values["accuracy"], variant


def test_the_example_is_what_the_metrics_say():
    """The worked example starts at the threshold and the metrics that are in Git."""
    shown = re.search(r"linear_binary\.json +accuracy +([\d.]+)", README)
    values = json.loads((ROOT / "metrics/linear_binary.json").read_text())
    assert shown
    assert round(float(shown[1]), 5) == round(values["accuracy"], 5)


def test_every_file_that_is_linked_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 3
    assert all((ROOT / link).exists() for link in links), links


def test_every_make_target_that_is_named_exists():
    parts = (ROOT / "Makefile", *ROOT.glob("*/*.mk"))
    makefile = "".join(path.read_text() for path in parts)
    named = set(re.findall(r"(?m)(?:^|`)make (?:PYTHON=\S+ )?([a-z-]+)", README))
    assert named >= {"repro", "test"}
    assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in named), named


def test_every_module_that_is_run_exists():
    named = set(re.findall(r"python -m ([a-z_.]+)", README))
    assert named >= {"commands.predict", "commands.compare"}
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in named), named


def test_every_parameter_named_exists():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for path in re.findall(r"-S '?(variants\.[\w.]+)=", README):
        value = params
        for key in path.split("."):
            value = value[key]


def test_the_speeds_are_those_of_the_benchmark():
    measured = (ROOT / "benchmarks/solvers.md").read_text()
    rows = re.findall(
        r"^\| (.+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", README, re.MULTILINE
    )
    assert len(rows) == 7
    for what, ours, theirs, ratio in rows:
        pattern = rf"{re.escape(what)} \| {ours} \(.*\) \| {theirs} \(.*\) \| {ratio} \|"
        assert re.search(pattern, measured), what


def test_the_build_for_a_gpu_is_of_the_version_that_is_locked():
    (version,) = re.findall(r"'tensorflow\[and-cuda\]==([\d.]+)'", README)
    lock = (ROOT / "requirements.lock").read_text()
    assert set(re.findall(r"(?m)^tensorflow(?:-cpu)?==(\S+)", lock)) == {version}
