"""`digits remove` removes all files of a variant and none of another."""

import shutil

import pytest
import yaml

from digits.commands import remove
from digits.commands.remove import remove_keys
from digits.config import params
from digits.pipeline import Pipeline
from tests.helpers.project import ROOT, Project

pytestmark = pytest.mark.slow

REMOVE = ("python", "-m", "digits", "remove")

LINEAR = """\
  # the same line, cut elsewhere
  linear:  # its name begins as others' do
    subset: binary
    train: {model: linear_regression}
    # a comment of its own
    evaluate: {threshold: 0.3}
  # the first of the logistic ones
  logistic_binary:
"""


@pytest.fixture(scope="module")
def prefixed(done, tmp_path_factory) -> Project:
    """The project with another variant whose name is a prefix of two others."""
    project = done.copy(tmp_path_factory.mktemp("prefixed") / "project")
    project.edit("  logistic_binary:\n", LINEAR)
    project.repro()
    project.commit("Add linear")
    return project


@pytest.fixture
def project(prefixed, tmp_path) -> Project:
    return prefixed.copy(tmp_path / "project")


def files_of(project):
    return {
        str(path.relative_to(project.root)): path.read_bytes()
        for folder in ("data", "metrics", "params.yaml", "dvc.yaml", "dvc.lock")
        for path in [project.root / folder, *(project.root / folder).rglob("*")]
        if path.is_file()
    }


def of_linear(name):
    parts = [part.partition(".")[0] for part in name.split("/")]
    return "linear" in parts


def stages(project):
    return yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]


def test_removing_a_variant_removes_all_its_files_and_no_others(project):
    (project.root / "data/unfinished/linear").mkdir(parents=True)
    (project.root / "data/unfinished/linear/checkpoint").touch()
    (project.root / "metrics/linear/.DS_Store").touch()
    (project.root / "metrics/linear.json").write_text("{}")  # not committed
    before, recorded = files_of(project), stages(project)
    dry = project.run(*REMOVE, "--dry-run", "linear").stdout
    assert files_of(project) == before
    said = project.run(*REMOVE, "linear").stdout
    assert said.splitlines()[1:-1] == dry.splitlines()[1:]
    assert "  metrics/linear/\n" in said
    after = files_of(project)
    edited = {"params.yaml", "dvc.lock"}
    assert before.keys() - after.keys() == {name for name in before if of_linear(name)}
    assert all(after[name] == before[name] for name in after.keys() - edited)
    assert not (project.root / "data/unfinished/linear").exists()
    text = LINEAR.replace(LINEAR[: LINEAR.index("  # the first")], "")
    assert after["params.yaml"].decode() == before["params.yaml"].decode().replace(
        LINEAR, text
    )
    gone = {"train@linear", "evaluate@linear"}
    assert stages(project) == {k: v for k, v in recorded.items() if k not in gone}
    status = project.run("git", "status", "--porcelain").stdout.splitlines()
    assert {line[:2] for line in status if line.split()[1] not in edited} == {" D"}
    assert "left over" not in project.run("python", "-m", "digits", "verify").stdout
    assert {*project.repro()} <= {"check", "report"}


def test_two_variants_and_their_subset_go_at_once(project):
    names = ("linear", "linear_binary", "logistic_binary", "binary")
    project.run(*REMOVE, *names)
    checked = params.load(project.root / "params.yaml")
    assert [*checked.subsets] == ["digits"]
    assert [*checked.variants] == ["linear_digits", "one_vs_rest", "multinomial"]
    assert (project.root / "dvc.yaml").read_text() == (ROOT / "dvc.yaml").read_text()
    left = [name for name in files_of(project) if "binary" in name]
    assert not left
    assert not [name for name in stages(project) if "binary" in name]
    assert {*project.repro()} <= {"check", "report"}


def test_nothing_is_left_over_where_params_yaml_is_invalid(project):
    project.edit("\nvariants:", "\nvariant:")
    before = files_of(project)
    said = project.run("python", "-m", "digits", "verify").stdout
    assert "what is left over is not listed" in said
    assert "params.yaml: variant: is not a known key" in said
    for options in ((), ("--dry-run",)):
        done = project.run(*REMOVE, "--leftovers", *options, check=False)
        assert done.returncode != 0
        assert "params.yaml: variant: is not a known key" in done.stderr
    assert files_of(project) == before


def test_leftovers_of_a_variant_removed_by_hand_are_removed(project):
    text = (project.root / "params.yaml").read_text()
    start, end = text.index("  # the same line"), text.index("  # the first of")
    (project.root / "params.yaml").write_text(text[:start] + text[end:])
    shutil.rmtree(project.root / "metrics/linear")
    own = project.root / "data/models/linear_old.npz"  # no stage wrote it
    shutil.copy(project.root / "data/models/linear_binary.npz", own)
    assert "train@linear" in project.run("python", "-m", "digits", "verify").stdout
    project.run(*REMOVE, "--leftovers")
    assert not [name for name in files_of(project) if of_linear(name)]
    assert "left over" not in project.run("python", "-m", "digits", "verify").stdout
    assert "nothing is left over" in project.run(*REMOVE, "--leftovers").stdout
    assert (project.root / "metrics/linear_binary/confusion.csv").is_file()
    assert own.is_file()


REFUSED = {
    "unknown": (["multinominal"], "did you mean multinomial?"),
    "of the other kind": (["subsets.linear"], "there is no variant or subset"),
    "a subset in use": (["linear", "binary"], "binary is used by linear_binary, logistic_"),
    "the last of all": (
        ["linear", "linear_binary", "logistic_binary", "linear_digits", "one_vs_rest",
         "multinomial"],
        "needs at least one block under variants",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED)
def test_a_name_that_cannot_be_removed_is_refused_and_nothing_changes(
    prefixed, names, message
):
    found = Pipeline(prefixed.root)
    with pytest.raises(remove.InputError, match=message):
        remove.plan(found, names, leftovers=False)


def test_before_the_first_run_only_the_block_is_removed(fresh):
    found = Pipeline(fresh.root)
    chosen = remove.plan(found, ["logistic_binary"], leftovers=False)
    assert chosen.blocks["params.yaml"] == [("variants", "logistic_binary")]
    assert not any((*chosen.stages.values(), chosen.paths))


def test_an_ambiguous_name_must_be_qualified(project):
    path = project.root / "params.yaml"
    path.write_text(path.read_text().replace("  multinomial:\n", "  digits:\n"))
    found = Pipeline(project.root)
    with pytest.raises(remove.InputError, match=r"subsets\.digits or variants\.digits"):
        remove.plan(found, ["digits"], leftovers=False)
    chosen = remove.plan(found, ["variants.digits"], leftovers=False)
    assert chosen.blocks["params.yaml"] == [("variants", "digits")]
    assert chosen.paths == []


def test_nothing_is_removed_if_the_parameters_would_be_wrong(project):
    project.edit("threshold: 0.49", "threshold: high")
    before = files_of(project)
    result = project.run(*REMOVE, "linear", check=False)
    assert result.returncode == 1
    assert "params.yaml: variants.linear_binary.evaluate.threshold" in result.stderr
    assert ".tmp-" not in result.stderr
    assert files_of(project) == before


def test_nothing_is_removed_while_dvc_runs(project):
    lock = project.root / ".dvc/tmp/lock"
    lock.parent.mkdir(exist_ok=True)
    holder = (
        "from dvc.repo import Repo; import subprocess, sys\n"
        "with Repo() as repo, repo.lock:\n"
        "    sys.exit(subprocess.call(sys.argv[1:]))"
    )
    before = files_of(project)
    result = project.run("python", "-c", holder, *REMOVE, "linear", check=False)
    assert result.returncode == 1
    assert "Unable to acquire lock" in result.stderr
    assert files_of(project) == before


YAML = """\
# of the file
a:
  # of x
  x: {p: 1}

  # of y, too

  # of y
  y:
    q: |
      text

      more
    # in y
  z: 1.0e-9  # of z
  # at the end of a
b: [1, 2]
"""


@pytest.mark.parametrize(
    ("key", "gone"),
    [
        (("a", "x"), "  # of x\n  x: {p: 1}\n"),
        (("a", "y"), YAML[YAML.index("  # of y\n") : YAML.index("  z")]),
        (("a", "z"), "  z: 1.0e-9  # of z\n"),
        (("b",), "b: [1, 2]\n"),
    ],
)
def test_a_block_is_removed_with_its_comments_and_nothing_else(key, gone):
    assert remove_keys(YAML, [key]) == YAML.replace(gone, "")


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1, y: {p: 2}}  # a\n",
        "a:\n  x: &one\n    p: 2\n  y: *one\n",
        '{"a": {"x": 1,\n "y": {"p": 2}}}\n',
    ],
)
def test_other_yaml_styles_are_understood(text):
    assert yaml.safe_load(remove_keys(text, [("a", "x")])) == {"a": {"y": {"p": 2}}}


def test_entries_of_a_list_are_removed():
    text = (
        "plots:\n  - one: {y: {f: 1}}\n  # of two\n  - two:\n      y: {g: 1}\n  - three\n"
    )
    keys = [("plots", 0), ("plots", 2)]
    assert remove_keys(text, keys) == "plots:\n  # of two\n  - two:\n      y: {g: 1}\n"
