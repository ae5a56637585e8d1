"""Which stages run again after an edit of the code."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from digits import methods
from digits.config import fingerprint
from digits.data import registry
from stages import download
from tests.helpers.dvc_yaml import VARIANTS
from tests.helpers.project import PARAMS, ROOT

LOGISTIC = ("logistic_binary", "one_vs_rest", "multinomial")
PATHS = {"path@binary", "path@digits"}


def stages(name, variants):
    return {f"{name}@{variant}" for variant in variants}


@pytest.fixture(scope="module")
def project(done, tmp_path_factory):
    """A project after `dvc repro`, without LeNet-5."""
    return done.copy(tmp_path_factory.mktemp("edited") / "project")


def stale(project, *edits):
    """Return the stages that would run after edits of files, given as (name, old, new)."""
    before = {name: (project.root / name).read_text() for name, _, _ in edits}
    for name, old, new in edits:
        text = (project.root / name).read_text()
        assert old in text, f"{name} has no {old!r} any more: choose another edit"
        (project.root / name).write_text(text.replace(old, new, 1))
    try:
        project.run(sys.executable, "-m", "stages.check")
        status = json.loads(project.run("dvc", "status", "--json").stdout)
    finally:
        for name, text in before.items():
            (project.root / name).write_text(text)
        project.run("git", "checkout", "--quiet", ".")
    return set(status) - {"check"}


@pytest.mark.slow
def test_a_docstring_a_comment_or_formatting_runs_nothing(project):
    edits = [
        ("digits/solvers/logistic.py", '"""', '"""Edited. '),
        (
            "digits/metrics.py",
            "correct = np.diag(counts)",
            "correct = np.diag(\n        counts\n    )  # !",
        ),
        ("digits/data/dataset.py", "import json\n", "import json\n\n# a comment\n"),
        (
            "stages/evaluate.py",
            "import logging\nimport math\n",
            "import math\nimport logging\n",
        ),
        ("digits/methods/lenet5.py", "-> LeNet5:", "-> 'LeNet5':"),
    ]
    assert stale(project, *edits) == set()


@pytest.mark.slow
def test_a_help_text_an_error_or_a_limit_of_a_parameter_runs_nothing(project):
    edits = [
        ("digits/config/cli.py", "the folder with params.yaml", "where params.yaml is"),
        ("digits/data/dataset.py", "does not belong in this", "must not be in this"),
        ("stages/filter.py", "the data has no training image of", "no image of"),
        ("stages/train.py", 'log.info("fitting', 'log.info("Fitting'),
        ("digits/config/params.py", "a name has lower-case letters", "lower-case letters"),
        (
            "digits/methods/lenet5.py",
            "Number of passes over the training images.",
            "Epochs.",
        ),
        ("digits/methods/lenet5.py", "le=8", "le=9"),
    ]
    assert stale(project, *edits) == set()


@pytest.mark.slow
def test_a_new_model_runs_its_own_variant_and_the_report(project):
    text = (ROOT / "digits/methods/one_hot_regression.py").read_text()
    name, params = "digits/methods/one_hot_again.py", project.root / "params.yaml"
    (project.root / name).write_text(text.replace("one_hot_regression", "one_hot_again"))
    before = params.read_text()
    block = "{subset: binary, train: {model: one_hot_again}, evaluate: {}}"
    params.write_text(f"{before}  again: {block}\n")
    try:
        project.run(sys.executable, "-m", "stages.check")
        status = json.loads(project.run("dvc", "status", "--json").stdout)
        assert set(status) - {"check"} == {"train@again", "evaluate@again", "report"}
        project.repro("evaluate@again")
    finally:
        (project.root / name).unlink()
        params.write_text(before)
        project.run("git", "checkout", "--quiet", ".")
        for folder in ("metrics", "data/models", "data/predictions", "fingerprints"):
            project.run(
                "git", "clean", "--quiet", "-dx", "--force", "--", f"{folder}/*again*"
            )
        project.run(sys.executable, "-m", "stages.check")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (
            "digits/solvers/logistic.py",
            "LBFGS_MEMORY = ",
            "LBFGS_MEMORY = 1 + ",
            stages("train", LOGISTIC) | stages("evaluate", LOGISTIC) | PATHS | {"report"},
        ),
        (
            "digits/metrics.py",
            "n_correct / n_samples",
            "(n_correct - 1) / n_samples",
            stages("evaluate", VARIANTS) | PATHS | {"report"},
        ),
        pytest.param(
            *("digits/methods/lenet5.py", "WARM_UP = 0.15", "WARM_UP = 0.2", {"report"}),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("digits/report/page/main.js", "\n", "\n// !\n", {"report"}),
            marks=pytest.mark.slow,
        ),
        ("digits/data/registry.py", "Trouser", "Trousers", {"download"}),
    ],
)
def test_an_edit_runs_what_it_can_change_and_nothing_else(
    project, name, old, new, expected
):
    assert stale(project, (name, old, new)) == expected


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A copy of the code to edit, of which fingerprints are computed."""
    for folder in ("digits", "stages"):
        skip = shutil.ignore_patterns("__pycache__", "page")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    fingerprint._parse.cache_clear()
    yield tmp_path
    fingerprint._parse.cache_clear()


def changed(code, names, *edits):
    """Return the fingerprints that edits of files change."""
    before = {name: fingerprint.compute(name) for name in names}
    for name, old, new in edits:
        text = (code / name).read_text()
        assert old in text, f"{name} has no {old!r} any more: choose another edit"
        (code / name).write_text(text.replace(old, new, 1))
    fingerprint._parse.cache_clear()
    return {name for name in names if fingerprint.compute(name) != before[name]}


LOGISTIC_FILE = "digits/models/logistic.py"
TRAIN = "train/multinomial_logistic"


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("digits/config/blocks.py", "default=None", 'default="deskew"', TRAIN),
        ("digits/config/blocks.py", "return self.thresholds or", "return", None),
        (LOGISTIC_FILE, 'default="fast"', 'default="scikit_learn"', TRAIN),
        (
            LOGISTIC_FILE,
            'Field(\n        default="fast"',
            'Field(\n        "scikit_learn"',
            TRAIN,
        ),
        (
            LOGISTIC_FILE,
            "digits.solvers.logistic import L",
            "digits.solvers.sklearn_backend import L",
            TRAIN,
        ),
        ("digits/models/linear.py", "MODEL = LinearModel", "MODEL = object", TRAIN),
    ],
)
def test_an_edit_that_can_change_a_result_is_noticed(code, name, old, new, expected):
    expected = expected or "evaluate/linear_regression"
    assert changed(code, [expected], (name, old, new)) == {expected}


def test_the_branch_of_an_import_is_noticed(code):
    ours, theirs = "digits.solvers.logistic import", "digits.solvers.sklearn_backend import"
    text = (code / LOGISTIC_FILE).read_text()
    head, tail = text.split("    if options.solver", 1)
    swapped = tail.replace(ours, "\0").replace(theirs, ours).replace("\0", theirs)
    assert changed(
        code, [TRAIN], (LOGISTIC_FILE, text, f"{head}    if options.solver{swapped}")
    )


def test_a_relative_import_and_one_by_a_name_in_the_code_are_followed(code):
    helper = code / "digits/methods/lenet5_helper.py"
    for line in (
        "from .lenet5_helper import X\n",
        'X = import_module("digits.methods.lenet5_helper").X\n',
    ):
        helper.write_text("X = 1\n")
        path = code / "digits/methods/lenet5.py"
        path.write_text(f"{path.read_text()}{line}")
        fingerprint._parse.cache_clear()
        edit = ("digits/methods/lenet5_helper.py", "X = 1", "X = 2")
        assert changed(code, ["train/lenet5"], edit) == {"train/lenet5"}
        path.write_text(path.read_text().removesuffix(line))


def test_imports_of_a_package_from_its_modules_are_followed(code):
    (code / "digits/solvers/__init__.py").write_text(
        "from digits.solvers import logistic as s\n"
    )
    edit = ("digits/solvers/__init__.py", "logistic as s", "sklearn_backend as s")
    assert changed(code, [TRAIN], edit) == {TRAIN}


def test_messages_and_limits_are_not_in_a_fingerprint(code):
    edits = [
        ("digits/config/blocks.py", "shear each image upright", "turn each image"),
        (LOGISTIC_FILE, "ge=1e-8, le=1e6", "gt=1e-8"),
        (
            "digits/methods/nearest_neighbours.py",
            "there are only",
            "there are no more than",
        ),
        ("stages/train.py", "all images are of one class", "there is one class"),
    ]
    names = [TRAIN, "train/nearest_neighbours", "evaluate/linear_regression"]
    assert changed(code, names, *edits) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "limited",
    [
        "k: Annotated[int, Field(ge=1)]",
        "k: int = Field(le=9)",
        'k: Annotated[int, Field(gt=0)] = Field(description="How many.")',
        "k: Annotated[Annotated[int, Field(ge=1)], Field(le=9)]",
    ],
)
def test_a_parameters_default_is_in_a_fingerprint_and_its_limit_is_not(code, limited):
    name, path = "train/nearest_neighbours", "digits/methods/nearest_neighbours.py"
    text = (code / path).read_text()
    start = text.index("    k: ")
    old = text[start : text.index("\n\n", start)]
    for bare, expected in ((limited, set()), ("k: int = Field(default=1)", {name})):
        assert changed(code, [name], (path, old, f"    {bare}")) == expected
        (code / path).write_text(text.replace(old, "    k: int"))
        fingerprint._parse.cache_clear()
        old = "    k: int"


@pytest.mark.slow
def test_a_models_summary_is_only_in_the_fingerprint_of_the_page(code):
    names = ["train/lenet5", "evaluate/lenet5", "report"]
    edit = ("digits/methods/lenet5.py", "A convolutional network, LeNet-5", "LeNet-5")
    assert changed(code, names, edit) == {"report"}


@pytest.mark.slow
def test_lenet5s_module_is_in_the_fingerprints_of_lenet5_and_the_page(code):
    edit = ("digits/methods/lenet5.py", "WARM_UP = 0.15", "WARM_UP = 0.2")
    names = fingerprint.names()
    of_lenet5 = {f"{stage}/lenet5" for stage in fingerprint.MODEL_STAGES}
    assert changed(code, names, edit) == of_lenet5 | {"report"}


@pytest.mark.slow
def test_whether_a_model_has_probabilities_is_in_no_fingerprint(code):
    edit = ("digits/methods/lenet5.py", "    has_probabilities = True\n", "")
    assert changed(code, ["train/lenet5", "tune/lenet5", "report"], edit) == set()


@pytest.mark.slow
def test_the_solver_of_paths_is_in_the_fingerprints_of_logistic_tunings(code):
    edit = ("digits/solvers/path.py", "MEMORY = 30", "MEMORY = 20")
    logistic = {f"tune/{name}" for name in methods.NAMES if "logistic" in name}
    assert changed(code, fingerprint.names(), edit) == logistic


@pytest.mark.slow
def test_a_note_in_the_folder_for_the_users_data_runs_nothing(project):
    note = project.root / "data/own/note.md"
    note.write_text("remember")
    try:
        assert json.loads(project.run("dvc", "status", "--json").stdout) == {}
    finally:
        note.unlink()


def test_download_touches_no_network_if_the_data_is_there(as_mnist, tmp_path, monkeypatch):
    from digits.config import params  # noqa: PLC0415 (with the patched registry)
    from digits.data import dataset  # noqa: PLC0415 (as above)

    dataset.save(tmp_path / "data/raw", as_mnist)
    monkeypatch.setattr(download.mirrors, "fetch", lambda _: pytest.fail("fetched"))
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    download.main(params.load(tmp_path / "params.yaml"), tmp_path)
    summary = json.loads((tmp_path / "metrics/dataset/summary.json").read_text())
    assert summary["sha256"] == registry.DATASETS["mnist"].sha256

    (tmp_path / "data/raw/test/labels.npy").unlink()
    with pytest.raises(pytest.fail.Exception, match="fetched"):
        download.main(params.load(tmp_path / "params.yaml"), tmp_path)


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("keras", {"train/lenet5", "evaluate/lenet5", "tune/lenet5", "report"}),
        ("jinja2", {"report"}),
        ("numpy", set(fingerprint.names())),
    ],
)
def test_a_library_of_another_version_changes_what_computes_with_it(
    monkeypatch, library, expected
):
    before = {name: fingerprint.compute(name) for name in fingerprint.names()}
    version = fingerprint._version
    monkeypatch.setattr(
        fingerprint, "_version", lambda n: "0" if n == library else version(n)
    )
    after = {name: fingerprint.compute(name) for name in fingerprint.names()}
    assert {name for name in before if before[name] != after[name]} == expected


def other_pythons():
    """Return the interpreters of other Python versions on this machine."""
    versions = (
        f"python3.{minor}" for minor in range(11, 16) if minor != sys.version_info[1]
    )
    homes = Path.home() / ".pyenv/versions"
    return [
        python
        for name in versions
        for python in filter(None, (shutil.which(name), *homes.glob(f"3.*/bin/{name}")))
    ]


@pytest.mark.slow
def test_every_version_of_python_gives_the_same_hashes():
    """The syntax trees of another version have other fields."""
    program = (
        "from digits.config import fingerprint as f; import json;"
        "print(json.dumps({n: f.compute(n)['modules'] for n in f.names()}))"
    )
    expected = {name: fingerprint.compute(name)["modules"] for name in fingerprint.names()}
    for python in other_pythons():
        if subprocess.run(
            [python, "--version"], check=False, capture_output=True
        ).returncode:
            continue  # a version manager's shim for a version that is not installed
        output = subprocess.check_output([python, "-c", program], cwd=ROOT)
        assert json.loads(output) == expected, python


def test_only_packages_of_every_environment_are_recorded():
    """A package of an extra would make results outdated where it is missing."""
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(re.findall(r"(?m)^([\w.-]+)==", lock))
    for path in (ROOT / "fingerprints").rglob("*.json"):
        for library in json.loads(path.read_text())["libraries"]:
            names = fingerprint.DISTRIBUTIONS.get(library, (library,))
            assert pinned & set(names), f"{path.name}: {library}"
