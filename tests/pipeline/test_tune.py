"""`digits tune` on a small project: a new tuning runs, and its choice is applied."""

import re

import pytest

from tests.helpers.project import read_csv

pytestmark = pytest.mark.slow

TUNE = ("python", "-m", "digits", "tune")
TUNING = """
tuning:
  cut:
    variant: linear_binary
    folds: 2
    grid: {threshold: [0.1, 0.45]}  # the first is worse
"""


@pytest.fixture(scope="module")
def tuned(done, tmp_path_factory):
    """The project with a new tuning, and what its first run printed."""
    project = done.copy(tmp_path_factory.mktemp("tuned") / "project")
    with (project.root / "params.yaml").open("a") as file:
        file.write(TUNING)
    return project, project.run(*TUNE, "cut")


def test_a_new_tuning_runs_at_the_first_call(tuned):
    project, result = tuned
    assert project.stages_run(result) == ["check", "tuning/dvc.yaml:tune@cut"]
    assert "The best accuracy: threshold = 0.45." in result.stdout
    table = read_csv(project.root / "tuning/cut/values.csv")
    assert [row["candidate"] for row in table] == ["threshold = 0.1", "threshold = 0.45"]
    assert (project.root / "tuning/cut/figure.png").stat().st_size > 1000


def test_what_is_applied_runs_the_variant_and_not_the_tuning(tuned, tmp_path):
    project = tuned[0].copy(tmp_path / "project")
    text = (project.root / "params.yaml").read_text()
    result = project.run(*TUNE, "--apply", "cut")
    assert "variants.linear_binary.evaluate.threshold: 0.49 is now 0.45" in result.stdout
    changed = re.sub("threshold: 0.49", "threshold: 0.45", text, count=1)
    assert (project.root / "params.yaml").read_text() == changed
    assert re.search(r"\bcut\b.*up to date", project.run(*TUNE).stdout)
    assert project.repro() == ["check", "evaluate@linear_binary", "report"]
    assert "tune@cut" not in project.stages_run(project.run(*TUNE, "cut"))
