"""The tests of the code pass with any params.yaml that a user commits.

They run in copies of this project with other parameters, variants and data.
"""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.helpers import project as helper
from tests.helpers.project import PARAMS, ROOT, Project

LONG = "long and not (slow or hard or results)"
FAST = "not (long or slow or hard or results)"


def another_threshold(content):
    content["variants"]["linear_binary"]["evaluate"]["threshold"] = 0.3


def one_variant_more(content):
    content["subsets"]["four_nine"] = {"classes": [4, 9]}
    content["variants"]["logistic_four_nine"] = {
        "subset": "four_nine",
        "train": {
            "model": "logistic_regression", "C": 0.01, "max_iter": 2000, "tol": 1e-9
        },
        "evaluate": {},
    }  # fmt: skip


def data_of_their_own(content):
    logistic = {"C": 1.0, "max_iter": 100, "tol": 1e-4}
    content["dataset"] = {"name": "custom", "source": "data/own/mine"}
    content["subsets"] = {
        "pair": {"classes": ["cat", "dog"]}, "all_of_them": {"classes": "all"}
    }  # fmt: skip
    content["variants"] = {
        "line": {"subset": "pair", "train": {"model": "linear_regression"},
                 "evaluate": {"threshold": 0.5}},
        "logistic": {"subset": "pair", "evaluate": {},
                     "train": {"model": "logistic_regression", **logistic}},
        "softmax": {"subset": "all_of_them", "evaluate": {},
                    "train": {"model": "multinomial_logistic", **logistic}},
    }  # fmt: skip


def copy(root, change):
    """Return a committed copy of the project's code with other parameters.

    It has no results, as when a user starts a project from this one.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        theirs = name.startswith(("data/", "metrics/", "params.yaml", "dvc.lock"))
        if not theirs and os.path.lexists(ROOT / name):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name, follow_symlinks=False)
    content = yaml.safe_load(PARAMS.read_text())
    change(content)
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    project = Project(root)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("git", "config", "user.name", "test")
    project.run("git", "config", "user.email", "test@localhost")
    project.commit("Set parameters of our own")
    return project


def test_a_test_that_reads_the_users_parameters_fails(request):
    conftest = request.config.pluginmanager.get_plugin(str(ROOT / "tests/conftest.py"))
    for name in ("params.yaml", "tests/../dvc.yaml", "tests/../params.yaml"):
        (ROOT / name).read_text()
    assert conftest.opened == {str(ROOT / "params.yaml")}
    with pytest.raises(pytest.fail.Exception, match=r"reads .*params\.yaml"):
        conftest.pytest_runtest_teardown(request.node)
    conftest.opened.clear()


def test_a_generated_project_has_no_remote_of_the_user(tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(
        "[core]\n    remote = team\n    analytics = false\n"
        "['remote \"team\"']\n    url = s3://team/100%\n"
    )
    monkeypatch.setattr(helper, "ROOT", tmp_path)
    assert helper.config_without_remotes().split() == ["[core]", "analytics", "=", "false"]


@pytest.mark.slow
def test_a_failing_test_of_published_results_says_what_it_checks(tmp_path):
    project = copy(tmp_path / "copy", another_threshold)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "results",
        "tests/unit/test_readme.py",
    ]
    result = project.run(*command, check=False)
    assert result.returncode == 1
    assert result.stdout.count("results of this repository's own parameters") >= 2


# The long tests of pages run no command in this folder, so `note` in conftest.py sees all
# that they read.
@pytest.mark.hard
@pytest.mark.parametrize(
    ("change", "which", "folder"),
    [(one_variant_more, LONG, "tests/pipeline"), (data_of_their_own, FAST, "tests")],
)
def test_the_quick_tests_pass_with_other_parameters(
    tmp_path, monkeypatch, change, which, folder
):
    project = copy(tmp_path / "copy", change)
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)  # the inner pytest must not see them
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"]
    command += [folder, "-m", which, "--basetemp", str(tmp_path / "temporary")]
    result = project.run(*command, check=False)
    assert result.returncode == 0, result.stdout[-20_000:]
    assert not project.run("git", "status", "--porcelain").stdout
