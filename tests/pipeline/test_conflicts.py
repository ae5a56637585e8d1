"""Merging branches of different variants loses no result and trains none twice."""

import pytest
import yaml

from digits.commands import unlock
from tests.helpers.project import Project

UNLOCK = ("python", "-m", "digits", "unlock")
EDITS = {
    "one": ("one_vs_rest_logistic, C: 1.0", "one_vs_rest_logistic, C: 0.5"),
    "two": ("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.5"),
}


@pytest.fixture(scope="module")
def branches(done, tmp_path_factory) -> Project:
    """Three branches: two change one variant each, `both` changes both."""
    project = done.copy(tmp_path_factory.mktemp("branches") / "project")
    for branch, names in {"one": ["one"], "two": ["two"], "both": ["one", "two"]}.items():
        project.run("git", "switch", "--quiet", "--create", branch, "main")
        project.run("dvc", "checkout", "--quiet")
        for name in names:
            project.edit(*EDITS[name])
        project.repro()
        project.commit(f"Change {branch}")
    return project


@pytest.fixture
def project(branches, tmp_path) -> Project:
    return branches.copy(tmp_path / "project")


def conflict(project, here, there, how="merge"):
    """Merge, rebase or cherry-pick so that dvc.lock is in conflict."""
    project.run("git", "switch", "--quiet", here)
    project.run("dvc", "checkout", "--quiet")
    result = project.run("git", how, there, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    assert unlock.in_conflict(project.root / "dvc.lock")


def results(project):
    """Return the files under metrics/ and the stages in dvc.lock."""
    files = project.run("git", "ls-files", "-s", "metrics").stdout
    return files, yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]


def finish(project, *command):
    """Resolve the conflict without training, and commit; return what was printed."""
    said = project.run(*UNLOCK).stderr
    ran = {stage.partition("@")[0] for stage in project.repro()}
    assert not ran - {"check", "report"}
    assert project.repro() == []
    project.run("git", "add", "--all")
    project.run("git", "-c", "core.editor=true", *command)
    assert not project.run("git", "status", "--porcelain").stdout
    project.run("python", "-m", "digits", "verify")
    return said


@pytest.fixture
def expected(branches, tmp_path):
    both = branches.copy(tmp_path / "both")
    both.run("git", "switch", "--quiet", "both")
    return results(both)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("here", "there", "staged"), [("one", "two", False), ("two", "one", True)]
)
def test_a_merge_is_resolved_by_one_command(project, expected, here, there, staged):
    conflict(project, here, there)
    if staged:
        project.run("git", "add", "--all")
    said = finish(project, "commit", "--quiet", "--no-edit")
    assert "dvc.lock: had a merge conflict" in said
    assert results(project) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "staged"), [("rebase", False), ("rebase", True), ("cherry-pick", True)]
)
def test_a_rebase_and_a_cherry_pick_are_resolved_by_one_command(
    project, expected, how, staged
):
    conflict(project, "one", "two", how)
    if staged:
        project.run("git", "add", "--all")
    finish(project, how, "--continue")
    assert results(project) == expected


@pytest.mark.slow
@pytest.mark.parametrize("staged", [False, True])
def test_a_stash_is_resolved_by_one_command(project, expected, staged):
    project.run("git", "switch", "--quiet", "two")
    project.run("dvc", "checkout", "--quiet")
    project.run("git", "reset", "--quiet", "--soft", "main")
    project.run("git", "stash", "--quiet")
    conflict(project, "one", "pop", "stash")
    if staged:
        project.run("git", "add", "--all")
    project.run(*UNLOCK)
    ran = project.repro()
    assert not [stage for stage in ran if stage.startswith("train@o")]
    project.run("git", "add", "--all")
    assert results(project) == expected


@pytest.mark.slow
def test_staged_conflict_markers_are_removed_from_the_index(project):
    conflict(project, "one", "two")
    project.run("git", "add", "--all")
    (said,) = unlock.unlock(project.root)
    assert said.endswith("; both sides changed check, report, to run again")
    assert unlock.is_whole(project.root / "dvc.lock")
    assert not project.run("git", "diff", "--stat").stdout
    merged = results(project)[1]
    for branch, variant in (("one", "one_vs_rest"), ("two", "multinomial")):
        side = yaml.safe_load(project.run("git", "show", f"{branch}:dvc.lock").stdout)
        assert merged[f"train@{variant}"] == side["stages"][f"train@{variant}"]
    assert [*unlock.unlock(project.root)] == []


@pytest.mark.slow
def test_a_truncated_lock_in_conflict_is_merged(project):
    conflict(project, "one", "two")
    path = project.root / "dvc.lock"
    merged = path.read_text()
    path.write_text(merged[: merged.index("<<<<<<<") + 9])
    said = "\n".join(unlock.unlock(project.root))
    assert "was truncated" in said
    assert "merged stage by stage" in said
    assert unlock.is_whole(path)


@pytest.mark.slow
def test_a_conflict_that_is_partly_resolved_and_staged_is_merged(project, expected):
    conflict(project, "one", "two")
    path = project.root / "dvc.lock"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("<<<<<<<")))
    project.run("git", "add", "--all")
    finish(project, "commit", "--quiet", "--no-edit")
    assert results(project) == expected


@pytest.mark.slow
def test_parameters_in_conflict_are_the_users_decision(project):
    """Two values of one variant: its results are made again after the user's decision."""
    project.run("git", "switch", "--quiet", "--create", "three", "main")
    project.run("dvc", "checkout", "--quiet")
    project.edit("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.001")
    project.repro()
    project.commit("Change it, too")
    conflict(project, "three", "two")
    result = project.run(*UNLOCK, check=False)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        "error: params.yaml: has a merge conflict that only you can resolve"
    )
    assert "both sides changed" in result.stderr
    assert unlock.is_whole(project.root / "dvc.lock")
    text = (project.root / "params.yaml").read_text()
    ours = unlock._HUNK.sub(lambda hunk: hunk["ours"], text)
    (project.root / "params.yaml").write_text(ours)
    finish(project, "commit", "--quiet", "--no-edit")
    assert "C: 0.001" in (project.root / "params.yaml").read_text()
    assert not project.run("git", "diff", "--stat", "three", "--", "metrics").stdout


@pytest.mark.slow
def test_generated_files_in_conflict_are_regenerated(project):
    path = project.root / "params.schema.json"
    schema = path.read_text()
    for branch, word in (("one", "first"), ("two", "second")):
        project.run("git", "switch", "--quiet", branch)
        path.write_text(schema.replace("{", f'{{\n  "{word}": 0,', 1))
        project.run("git", "commit", "--quiet", "--all", "--amend", "--no-edit")
    conflict(project, "one", "two")
    assert unlock.in_conflict(path)
    said = finish(project, "commit", "--quiet", "--no-edit")
    assert "params.schema.json: had a conflict; check makes it again" in said
    assert path.read_text() == schema


def lock(**stages):
    return {"schema": "2.0", "stages": stages}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged", "dropped"),
    [
        ("a", "a", "a", "a", False),
        ("a", "b", "a", "b", False),
        ("a", "a", "b", "b", False),
        ("a", "b", "b", "b", False),
        ("a", "b", "c", None, True),
        ("a", None, "a", None, False),
        ("a", "a", None, None, False),
        ("a", None, "b", None, True),
        (None, "b", None, "b", False),
        (None, None, "b", "b", False),
        (None, "b", "c", None, True),
    ],
)
def test_each_stage_is_that_of_the_side_that_changed_it(
    base, ours, theirs, merged, dropped
):
    sides = [
        lock(**({"x": {"cmd": side}} if side else {})) for side in (base, ours, theirs)
    ]
    found, left = unlock.merge(*sides)
    assert found == lock(**({"x": {"cmd": merged}} if merged else {}))
    assert left == (["x"] if dropped else [])


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_conflict_markers_are_recognised(tmp_path, style):
    base = "||||||| base\nb\n" if style == "diff3" else ""
    path = tmp_path / "x"
    path.write_text(f"x\n<<<<<<< HEAD\na\n{base}=======\nc\n>>>>>>> there\ny\n")
    assert unlock.in_conflict(path)
    assert unlock._HUNK.sub(lambda hunk: hunk["theirs"], path.read_text()) == "x\nc\ny\n"
    path.write_text("Heading\n=======\n")
    assert not unlock.in_conflict(path)
