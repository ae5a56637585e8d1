"""Tunings under DVC: what runs when, what is recorded, and what a kill leaves."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from digits import pipeline
from digits.commands import unlock
from digits.config import params
from digits.data import files
from digits.tuning import tasks
from stages import tune
from tests.helpers.dvc_yaml import TUNING, TUNINGS, declared
from tests.helpers.processes import left_running
from tests.helpers.project import Project, read_csv

pytestmark = pytest.mark.slow

TUNE = f"tuning/dvc.yaml:tune@{TUNING}"
AGAIN = "other tunings than before; if this was `dvc repro tuning/dvc.yaml`, run it again"


@pytest.fixture(scope="module")
def tuned(done, tmp_path_factory) -> Project:
    """The project with a tuning, after it has run."""
    project = done.copy(tmp_path_factory.mktemp("tuned") / "project")
    with (project.root / "params.yaml").open("a") as file:
        file.write(TUNINGS)
    assert AGAIN in project.run("dvc", "repro", "check").stderr
    assert project.repro("tuning/dvc.yaml") == [TUNE]
    project.commit("Tune")
    return project


@pytest.fixture
def project(tuned, tmp_path) -> Project:
    return tuned.copy(tmp_path / "project")


def results(project: Project) -> dict[str, bytes]:
    """Return the contents of the files of the tuning."""
    folder = project.root / "tuning"
    paths = [folder / f"{TUNING}.json", *(folder / TUNING).iterdir()]
    return {path.name: path.read_bytes() for path in paths}


def test_a_tuning_has_a_row_for_each_candidate_and_its_choice(tuned):
    rows = read_csv(tuned.root / f"tuning/{TUNING}/values.csv")
    chosen = json.loads((tuned.root / f"tuning/{TUNING}.json").read_text())
    assert [row["threshold"] for row in rows[:2]] == ["0.4", "0.5"]
    assert [*chosen] == ["best"]  # thresholds have no order of simplicity
    (best,) = (row for row in rows if row["choice"] == "best")
    for key, value in chosen["best"].items():
        assert float(best[key]) == value
    assert results(tuned).keys() == {f"{TUNING}.json", "values.csv", "figure.png"}
    assert not (tuned.root / "data/unfinished").exists() or not [
        *(tuned.root / "data/unfinished").iterdir()
    ]
    assert not tuned.run("git", "status", "--porcelain").stdout


def test_repro_alone_runs_no_tuning_and_an_applied_choice_makes_none_out_of_date(project):
    project.edit("threshold: 0.49", "threshold: 0.41")  # as if the choice was applied
    project.edit("folds: 3", "folds: 2")
    assert project.repro() == ["check", "evaluate@linear_binary", "report"]
    project.edit("folds: 2", "folds: 3")
    assert project.repro("tuning/dvc.yaml") == ["check"]


def test_other_folds_run_the_tuning_and_are_in_metrics_diff(project):
    project.edit("folds: 3", "folds: 7")
    assert project.repro("tuning/dvc.yaml") == ["check", TUNE]
    shown = project.run("dvc", "params", "diff", "--json").stdout
    assert json.loads(shown)["tuning/stages.yaml"] == {
        f"tunings.{TUNING}.folds": {"old": 3, "new": 7, "diff": 4}
    }
    changed = json.loads((project.root / f"tuning/{TUNING}.json").read_text())
    changed["best"]["accuracy"] = 0.5
    files.write_json(project.root / f"tuning/{TUNING}.json", changed)
    shown = project.run("dvc", "metrics", "diff", "--json").stdout
    assert "best.accuracy" in json.loads(shown)[f"tuning/{TUNING}.json"]


def test_a_new_tuning_runs_when_the_command_is_run_again(project):
    with (project.root / "params.yaml").open("a") as file:
        file.write("  path: {variant: multinomial, folds: 2, grid: {C: [0.1, 1, 10]}}\n")
    result = project.run("dvc", "repro", "tuning/dvc.yaml")
    assert project.stages_run(result) == ["check"]
    assert AGAIN in result.stderr
    result = project.run("dvc", "repro", "tuning/dvc.yaml")
    assert project.stages_run(result) == ["tuning/dvc.yaml:tune@path"]
    assert AGAIN not in result.stderr
    chosen = json.loads((project.root / "tuning/path.json").read_text())
    assert [*chosen] == ["best", "simplest"]
    # Another parameter of the variant than the one that is varied.
    project.edit(
        "multinomial_logistic, C: 1.0, max_iter: 2000",
        "multinomial_logistic, C: 0.5, max_iter: 3000",
    )
    assert "tuning/dvc.yaml:tune@path" in project.repro("tuning/dvc.yaml")


def test_dvc_reads_again_after_unlock_if_the_tunings_cannot_be_read(project):
    path = project.root / "tuning/stages.yaml"
    lock = project.root / "tuning/dvc.lock"
    before = path.read_text(), lock.read_text()
    path.unlink()
    lock.write_text("stages: [")
    assert project.run("dvc", "status", check=False).returncode
    said = [*unlock.unlock(project.root)]
    assert len(said) == 2
    assert (path.read_text(), lock.read_text()) == before
    assert [*unlock.unlock(project.root)] == []


def test_a_stage_does_not_run_on_tunings_that_dvc_did_not_read(project):
    project.edit("folds: 3", "folds: 2")
    result = project.run("dvc", "repro", "--single-item", TUNE, "--force", check=False)
    assert result.returncode
    assert "tuning/stages.yaml: differs from params.yaml; run `dvc repro check`" in (
        result.stderr
    )


def test_a_removed_variant_takes_its_tunings_with_it(project):
    said = project.run("python", "-m", "digits", "remove", "linear_binary").stdout
    assert f"tune@{TUNING}" in said
    assert {path.name for path in (project.root / "tuning").iterdir()} == {
        "dvc.yaml",
        "dvc.lock",
        "stages.yaml",
    }
    assert not pipeline.read(project.root / "tuning/dvc.lock")["stages"]
    assert not params.load(project.root / "params.yaml").tuning


def mark(path, value):
    """Change the arrays of a folder of test images."""
    for name in ("images", "labels"):
        array = np.load(path / f"{name}.npy")
        array[:10] = value
        np.save(path / f"{name}.npy", array)


def test_no_result_depends_on_a_test_image(project, monkeypatch):
    assert not [dep for dep in declared("tune")["deps"] if "test" in dep]
    before = results(project)
    for folder in ("raw/test", "subsets/binary/test", "subsets/digits/test"):
        mark(project.root / "data" / folder, 7)
    shutil.rmtree(project.root / "tuning" / TUNING)
    monkeypatch.setattr(tasks, "processes", ThreadPoolExecutor)
    tune.main(params.load(project.root / "params.yaml"), TUNING, project.root)
    assert results(project) == before
    labels = project.root / "data/subsets/binary/train/labels.npy"
    np.save(labels, np.random.default_rng(0).permutation(np.load(labels)))
    tune.main(params.load(project.root / "params.yaml"), TUNING, project.root)
    assert results(project) != before


GRID = """
tuning:
  iterations:
    variant: multinomial
    folds: 5
    grid: {max_iter: [1, 2, 3, 4], preprocess: [null, deskew]}
"""
NOTE = """    import time
    with Path("fits").open("a") as file:
        file.write(store.path(task).name + "\\n")
    time.sleep(0.1)
"""


@pytest.mark.hard
def test_killed_at_random_no_fit_is_computed_twice_and_the_result_is_the_same(
    done, tmp_path
):
    project = done.copy(tmp_path / "project")
    with (project.root / "params.yaml").open("a") as file:
        file.write(GRID)
    code = project.root / "stages/tune.py"
    line = "    images, labels = (\n"
    assert line in code.read_text()
    code.write_text(code.read_text().replace(line, NOTE + line))
    store = project.root / "data/unfinished/tuning/iterations"
    log, rng, n_fits = project.root / "fits", random.Random(0), 40  # noqa: S311 (a test)
    command = [sys.executable, "-m", "stages.tune", "iterations"]
    before: set[str] = set()
    n_killed = 0
    while n_killed < 10:
        log.write_text("")
        stage = subprocess.Popen(command, cwd=project.root, stderr=subprocess.PIPE)
        while not log.read_text():  # it has started to fit
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        stage.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        stage.communicate()
        n_killed += 1
        assert left_running(project.root) == []
        started = log.read_text().split()
        assert len(started) == len({*started})
        assert not before & {*started}
        done_now = {path.name for path in store.glob("*.npz")}
        assert before <= done_now <= before | {*started}
        assert len(done_now) >= len(before) + len(started) - 2
        before = done_now
    log.write_text("")
    project.run(*command)
    assert sorted(log.read_text().split()) == sorted({*log.read_text().split()})
    assert len(log.read_text().split()) == n_fits - len(before)
    assert not store.exists()
    killed = (project.root / "tuning/iterations/values.csv").read_bytes()
    project.run(*command)
    assert (project.root / "tuning/iterations/values.csv").read_bytes() == killed
