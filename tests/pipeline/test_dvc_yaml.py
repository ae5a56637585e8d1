"""dvc.yaml declares exactly what each stage imports, reads and writes."""

import ast
import importlib
import json
import re
import runpy
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import BaseModel

from digits import methods
from digits.config import cli, fingerprint, params
from digits.report.render import PAGE
from digits.tuning import tasks
from tests.helpers.dvc_yaml import (
    MODEL,
    NAME,
    STAGES,
    SUBSET,
    TUNING,
    TUNINGS,
    VARIANT,
    declared,
)
from tests.helpers.project import ROOT

ALL_STAGES = (*STAGES, "tune")


def leaves_out(file: Path) -> bool:
    """Return whether a module only reads and checks parameters."""
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__") in fingerprint.NO_RESULT


def imports(path: Path, seen: set[Path]) -> set[Path]:
    """Return a file and the project's files that it imports, directly or not."""
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += [".".join(filter(None, (*names[:1], a.name))) for a in node.names]
        for name in names:
            parts = name.split(".")
            for end in range(
                1, len(parts) + 1
            ):  # importing a module also imports its packages
                inner = ROOT.joinpath(*parts[:end])
                for file in (inner.with_suffix(".py"), inner / "__init__.py"):
                    if file.is_file() and file not in seen and not leaves_out(file):
                        imports(file, seen)
    return seen


def needed(name: str) -> set[str]:
    """Return the modules with statements that a stage imports for a method."""
    stage, _, model = name.partition("/")
    models = [model] if model else methods.NAMES if stage == "report" else []
    seen = imports(ROOT / f"stages/{stage}.py", set())
    for model in models:
        imports(ROOT / f"digits/methods/{model}.py", seen)
        if stage == "tune" and (paths := fingerprint.paths_of(model)):
            imports(ROOT / f"{paths.replace('.', '/')}.py", seen)
        if stage == "evaluate":
            imports(ROOT / "digits/robustness/linear.py", seen)  # of a linear model
    found = {file for file in seen if len(ast.parse(file.read_text()).body) > 1}
    modules = (file.relative_to(ROOT).with_suffix("").parts for file in found)
    return {".".join(p for p in parts if p != "__init__") for parts in modules}


LARGE = {"h5py", "keras", "sklearn", "tensorflow"}
LIST = f"""
import sys
print(*(n for n in sys.modules if n.startswith(('digits', 'stages')) or n in {LARGE}))
"""


def loaded(name: str, done) -> set[str]:
    """Return the modules that a stage has loaded at its end: ours and large packages."""
    stage, _, model = name.partition("/")
    program = f"""
import importlib, pathlib, sys
from digits.config import params
stage = importlib.import_module("stages.{stage}")
variants = params.load().variants
name = next((v for v in variants if variants[v].train.model == {model!r}), None)
arguments = [name] if name else ["{SUBSET}"] if "{stage}" in ("filter", "path") else []
if "{stage}" == "tune":
    from concurrent.futures import ThreadPoolExecutor
    from digits.tuning import tasks
    tasks.processes = ThreadPoolExecutor
    arguments = ["{TUNING}"]
stage.main(params.load(), *arguments, pathlib.Path())
{LIST}
"""
    return set(done.run(sys.executable, "-c", program).stdout.split())


@pytest.fixture(scope="module")
def always(done) -> set[str]:
    """The modules that every stage loads."""
    program = f"import digits.process\nfrom digits.config import cli, guard, params\n{LIST}"
    return set(done.run(sys.executable, "-c", program).stdout.split())


@pytest.fixture(scope="module")
def scratch(done, tmp_path_factory):
    """A copy of the project in which stages may run again."""
    project = done.copy(tmp_path_factory.mktemp("scratch") / "project")
    with (project.root / "params.yaml").open("a") as file:
        file.write(TUNINGS)
    return project


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "download",
        "filter",
        "path",
        "report",
        "train/linear_regression",
        "train/multinomial_logistic",
        "evaluate/multinomial_logistic",
        "tune/linear_regression",
    ],
)
def test_a_fingerprint_has_exactly_the_modules_that_the_stage_loads(name, scratch, always):
    """No stage of these imports a large package, except for scikit-learn's folds."""
    recorded = json.loads((scratch.root / f"fingerprints/{name}.json").read_text())
    modules, seen = set(recorded["modules"]), loaded(name, scratch) - always
    assert modules == needed(name) - {"digits.errors"}
    assert seen & LARGE == ({"sklearn"} if name.startswith("tune/") else set())
    empty = {
        f"digits.{name}" for name in ("figures", "images", "report", "solvers", "tuning")
    }
    assert seen - LARGE <= modules | empty | {*fingerprint.NO_RESULT}


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_depends_on_its_fingerprint_and_on_no_module(stage):
    deps = declared(stage)["deps"]
    if stage == "check":
        assert deps == ["params.yaml", "digits", "stages", "requirements.lock"]
    else:
        suffix = f"/{MODEL}" if stage in fingerprint.MODEL_STAGES else ""
        assert f"fingerprints/{stage}{suffix}.json" in deps
        assert not [dep for dep in deps if dep.endswith(".py")]


def test_every_model_has_its_own_fingerprints(done):
    found = {
        path.relative_to(done.root / "fingerprints").with_suffix("").as_posix()
        for path in (done.root / "fingerprints").rglob("*.json")
    }
    assert found == set(fingerprint.names())


class Recorder:
    """A part of the parameters that records which values are read."""

    def __init__(self, value, path, seen):
        self.__dict__.update(_value=value, _path=path, _seen=seen)

    def _at(self, key, value):
        path = f"{self._path}.{key}".lstrip(".")
        if isinstance(value, (BaseModel, dict)):
            return Recorder(value, path, self._seen)
        self._seen.add(self._path if callable(value) or key == "all_thresholds" else path)
        return value

    def __getattr__(self, key):
        return self._at(key, getattr(self._value, key))

    def __getitem__(self, key):
        return self._at(key, self._value[key])

    def __iter__(self):
        self._seen.add(self._path)
        return iter(self._value)

    def text(self, *blocks):
        for block in blocks:
            getattr(self, block)
        return self._value.text(*blocks)


@pytest.fixture(params=ALL_STAGES)
def traced(request, done, tmp_path, monkeypatch):
    """Run a stage; return its name and the parameters and files that it used."""
    project = done.copy(tmp_path / "project")
    stage, opened = request.param, set()
    if stage == "tune":
        with (project.root / "params.yaml").open("a") as file:
            file.write(TUNINGS)
        monkeypatch.setattr(tasks, "processes", ThreadPoolExecutor)  # in this process
    tracing = True

    def hook(event, arguments):
        # Without a mode it is `os.open`, as when a folder is emptied.
        if tracing and event == "open" and arguments[1]:
            path = Path(str(arguments[0]))
            if path.is_relative_to(PAGE):  # of this process's package, not of the project
                path = path.relative_to(ROOT)
            opened.add((path, arguments[1]))

    module = importlib.import_module(f"stages.{stage}")
    checked, seen = params.load(project.root / "params.yaml"), set()
    recorder = Recorder(checked, "", seen)
    monkeypatch.chdir(project.root)
    sys.addaudithook(hook)  # cannot be removed, but does nothing after the test
    name = [NAME[stage]] if NAME[stage] else []
    params.load(project.root / "params.yaml")  # as every stage does before its main
    module.main(recorder, *name, project.root)
    tracing = False
    inside = {
        (re.sub(r"\.tmp-\d+-", "", str(path.relative_to(project.root))), mode)
        for path, mode in ((project.root / path, mode) for path, mode in opened)
        if path.is_relative_to(project.root)
    }
    writes = {path for path, mode in inside if "w" in mode}
    return stage, seen, {path for path, _ in inside} - writes, writes


def under(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith((f"{root}/", f"{root}.")) for root in roots)


def test_a_stage_reads_and_writes_exactly_what_dvc_yaml_says(traced):
    stage, seen, reads, writes = traced
    entries = declared(stage)

    if stage == "check":
        assert "params.yaml" in entries["deps"]
        seen.clear()  # so all of it counts
    if stage == "tune":  # `check` writes what it uses of params.yaml to that file
        assert entries["params"] == ["tuning/stages.yaml"]
        entries["params"] = [f"tuning.{TUNING}", f"variants.{VARIANT}"]
    if stage == "evaluate":  # only compared with what the model says of its training
        seen -= {path for path in seen if under(path, [f"variants.{VARIANT}.train"])}
    assert all(under(path, entries["params"]) for path in seen), seen
    assert all(any(under(path, [param]) for path in seen) for param in entries["params"])

    data = {dep for dep in entries["deps"] if not dep.startswith("fingerprints/")}
    if stage == "check":  # it reads the code of this process, not of the project
        data -= {"digits", "stages", "requirements.lock"}

    reads -= {"params.yaml"} - data  # every stage checks it, whatever it uses of it
    reads -= {".dvcignore"}  # DVC also leaves out what it lists when it hashes folders
    if stage == "report":
        reads -= {"dvc.yaml"}  # for the graph; DVC refuses this file as a dependency
    assert all(under(path, data) for path in reads), reads
    assert all(any(under(path, [dep]) for path in reads) for dep in data)

    # what is left if the stage is killed
    writes = {path for path in writes if not under(path, ["data/unfinished"])}
    outs = entries["outs"] + entries["metrics"] + entries["plots"]
    assert all(under(path, outs) for path in writes), writes
    assert all(any(under(path, [out]) for path in writes) for out in outs)


@pytest.mark.parametrize("stage", ALL_STAGES)
def test_a_stage_guards_the_parameters_that_dvc_yaml_names(stage, monkeypatch):
    asked = {}
    monkeypatch.setattr(cli, "run", lambda *_, **options: asked.update(options))
    runpy.run_path(str(ROOT / f"stages/{stage}.py"), run_name="__main__")
    if stage == "tune":  # test_tuning.py
        assert asked == {"of": "tuning", "on_cluster": True}
        return
    block = f"{asked['of']}s.{NAME[stage]}." if "of" in asked else ""
    guarded = {f"{block}{name}" for name in asked.get("uses", ())}
    if stage == "filter":
        guarded = {block[:-1]}  # all keys of a subset
        assert {*asked["uses"]} == {*params.Subset.model_fields}
    assert guarded == {*declared(stage)["params"]}
