"""dvc.yaml tells the truth: what each stage imports, reads and writes, both ways."""

import ast
import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from tiny import ROOT

from digits.config import params
from digits.config.params import MODELS
from digits.models import KINDS
from digits.report.content import ARRAYS

STAGES = ("check", "download", "filter", "train", "evaluate", "report")
SUBSET = "binary"
VARIANT = "linear_binary"
NAME = {
    "check": None,
    "download": None,
    "filter": SUBSET,
    "train": VARIANT,
    "evaluate": VARIANT,
    "report": None,
}


MODEL = "linear_regression"


def declared(stage: str, model: str = MODEL, folder: Path = ROOT) -> dict[str, list[str]]:
    """Return a stage's entries in dvc.yaml, its templates filled for one name."""
    block = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]
    block = block.get("do", block)
    entries = {}
    for key in ("params", "deps", "outs", "metrics", "plots"):
        entries[key] = [
            (entry if isinstance(entry, str) else next(iter(entry)))
            .replace("${key}", str(NAME.get(stage)))
            .replace("${item.subset}", SUBSET)
            .replace("${item.train.model}", model)
            for entry in block.get(key, [])
        ]
    return entries


def imports(path: Path, *, lazy: bool = True) -> set[str]:
    """Return a file and the project's files that it imports, directly or not.

    lazy: whether also what its functions import when they are called
    """
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    found = set()
    for name in names:
        module = ROOT / (name.replace(".", "/") + ".py")
        package = ROOT / name.replace(".", "/") / "__init__.py"
        found |= {file for file in (module, package) if file.is_file()}
    found.discard(path)
    no_code = len(tree.body) == 1 and ast.get_docstring(tree)
    own = set() if no_code else {str(path.relative_to(ROOT))}
    return own.union(*(imports(file, lazy=lazy) for file in found))


def defining(kind: str) -> Path:
    """Return the file with the class of a kind of model."""
    return ROOT / (KINDS[kind].partition(":")[0].replace(".", "/") + ".py")


def needed(stage: str, model: str) -> set[str]:
    """Return what a stage imports for a model, also by a name that params.yaml has."""
    files = imports(ROOT / "stages" / f"{stage}.py")
    own = ROOT / "digits/methods" / f"{model}.py"
    if stage == "train":
        files |= imports(own)
    elif stage == "evaluate":
        files |= imports(defining(model if model in KINDS else "linear"), lazy=False)
        files.add(str(own.relative_to(ROOT)))
    elif stage == "report":
        files |= {file for kind in ARRAYS for file in imports(defining(kind), lazy=False)}
    return files


def code(stage: str, model: str = MODEL, folder: Path = ROOT) -> dict[str, set[str]]:
    """Return the modules of each of a stage's deps that is code: one, or a package's."""
    deps = [Path(dep) for dep in declared(stage, model, folder)["deps"]]
    modules = {str(dep): {str(dep)} for dep in deps if dep.suffix == ".py"}
    for dep in deps:
        if (ROOT / dep / "__init__.py").is_file():
            files = (ROOT / dep).rglob("*.py")
            modules[str(dep)] = {str(file.relative_to(ROOT)) for file in files}
    return modules


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_imports_and_on_no_file_or_folder_beside(stage):
    wanted = {model: needed(stage, model) for model in MODELS}
    for model in MODELS:
        deps = code(stage, model)
        assert wanted[model] <= set().union(*deps.values())
        for modules in deps.values():
            assert modules & set().union(*wanted.values())


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_really_loads_is_among_what_it_imports(stage, done):
    program = (
        f"import sys, stages.{stage}; print(*(m.__file__ for n, m in sys.modules.items()"
        " if n.partition('.')[0] in ('digits', 'stages') and m.__file__))"
    )
    loaded = done.run(sys.executable, "-c", program).stdout.replace(f"{done.root}/", "")
    modules = {name for name in loaded.split() if name.endswith(".py")}
    modules -= {"digits/__init__.py", "digits/methods/__init__.py"}  # docstrings
    assert modules <= set().union(*code(stage).values())


class Recorder:
    """Stands for a part of the parameters, and notes which values are read."""

    def __init__(self, value, path, seen):
        self.__dict__.update(_value=value, _path=path, _seen=seen)

    def _at(self, key, value):
        path = f"{self._path}.{key}".lstrip(".")
        if isinstance(value, (BaseModel, dict)):
            return Recorder(value, path, self._seen)
        self._seen.add(self._path if callable(value) or key == "cuts" else path)
        return value

    def __getattr__(self, key):
        return self._at(key, getattr(self._value, key))

    def __getitem__(self, key):
        return self._at(key, self._value[key])


@pytest.fixture(params=STAGES)
def traced(request, done, tmp_path, monkeypatch):
    """Run a stage in a project; return its name, the parameters and files it touched."""
    project = done.copy(tmp_path / "project")
    stage, opened = request.param, set()
    tracing = True

    def hook(event, arguments):
        # Without a mode it is os.open, as when a folder is emptied.
        if tracing and event == "open" and arguments[1]:
            opened.add((Path(str(arguments[0])), arguments[1]))

    module = importlib.import_module(f"stages.{stage}")
    checked, seen = params.load(project.root / "params.yaml"), set()
    recorder = Recorder(checked, "", seen)
    monkeypatch.chdir(project.root)
    sys.addaudithook(hook)  # stays for good, but does nothing once tracing is off
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

    assert all(under(path, entries["params"]) for path in seen), seen
    assert all(any(under(path, [param]) for path in seen) for param in entries["params"])

    order_alone = {"params.schema.json"} if stage == "download" else set()
    data = set(entries["deps"]) - set(code(stage)) - order_alone
    if stage == "report":
        data.add("digits/report")  # with its page
    reads -= {"params.yaml"} - data  # checked by every stage, whatever it uses of it
    reads -= {".dvcignore"}  # what it lists is missing in the hashes of folders, too
    if stage == "report":
        reads -= {"dvc.yaml"}  # it shows the graph; DVC refuses this file as a dep
    assert all(under(path, data) for path in reads), reads
    assert all(any(under(path, [dep]) for path in reads) for dep in data)

    outs = entries["outs"] + entries["metrics"] + entries["plots"]
    assert all(under(path, outs) for path in writes), writes
    assert all(any(under(path, [out]) for path in writes) for out in outs)
