"""`make test-reproduction` notices results that are not those in Git."""

import sys

import pytest

from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


def check(project):
    script = ROOT / "tests/stress/reproduction.py"
    return project.run(sys.executable, str(script), check=False)


def commit_line(project, path):
    """Commit another version of a result, then compute the right one again."""
    with (project.root / path).open("a") as file:
        file.write("\n")
    project.commit("Change a result by hand")
    project.repro()


def test_equal_results_pass_and_a_file_too_many_fails(project):
    result = check(project)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("all results equal those in Git, byte for byte\n")
    (project.root / "new.txt").touch()
    result = check(project)
    assert result.returncode == 1
    assert result.stderr.endswith("does not give the results in Git:\n?? new.txt\n")


def test_a_stage_that_runs_again_fails(project):
    project.edit("threshold: 0.49", "threshold: 0.3")
    result = check(project)
    assert result.returncode == 1
    assert "ran a stage again" in result.stderr


def test_another_metric_fails_and_is_named(project):
    commit_line(project, "metrics/multinomial.json")
    result = check(project)
    assert result.returncode == 1
    assert result.stderr.endswith("\n M metrics/multinomial.json\n")


def test_what_the_processor_changes_passes_if_two_runs_agree(project):
    commit_line(project, "metrics/multinomial/scores.csv")
    result = check(project)
    assert result.returncode == 0, result.stderr
    assert " M metrics/multinomial/scores.csv" in result.stdout
    assert result.stdout.endswith("a second run of all stages gave the same dvc.lock\n")
