"""`make test-reproduction` notices results that are not those in Git."""

import sys

import numpy as np
import pytest
import yaml

from tests.helpers.project import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


def check(project, **environment):
    script = ROOT / "tests/stress/reproduction.py"
    settings = [f"{name}={value}" for name, value in environment.items()]
    return project.run("env", *settings, sys.executable, str(script), check=False)


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


def test_only_lenet5_may_differ_and_only_without_avx2(project):
    """Its files are there without a stage: no network is trained here."""
    path = "metrics/lenet5/training/curve.csv"
    (project.root / path).parent.mkdir(parents=True)
    (project.root / path).touch()
    project.commit("Add a file of LeNet-5")
    (project.root / path).write_text("changed")
    assert check(project).stderr.endswith(f"\n M {path}\n")
    features = np.show_config("dicts")["SIMD Extensions"]["found"]
    without = {"NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    result = check(project, **without)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith(
        f"LeNet-5 is not the same on this processor:\n M {path}\n"
    )
    commit_line(project, "metrics/multinomial/scores.csv")
    result = check(project, **without)
    assert result.returncode == 1
    assert result.stderr.endswith(
        "does not give the results in Git:\n M metrics/multinomial/scores.csv\n"
    )


def test_another_hash_in_the_lock_fails_without_avx2(project):
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    hashes = yaml.safe_load(text)["stages"]["train@multinomial"]["outs"][0]["md5"]
    lock.write_text(text.replace(hashes, "0" * 32))
    project.commit("Change a hash by hand")
    lock.write_text(text)
    features = np.show_config("dicts")["SIMD Extensions"]["found"]
    result = check(project, NPY_DISABLE_CPU_FEATURES=" ".join(features))
    assert result.returncode == 1
    assert " M dvc.lock: train@multinomial\n" in result.stderr
