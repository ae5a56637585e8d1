"""Concurrent runs, and a branch switched during a run, lose no result and mix none up."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from digits.commands import verify
from tests.helpers.project import Project

pytestmark = pytest.mark.hard

PATIENCE = 240.0  # seconds, enough on a busy machine


@pytest.fixture
def project(done, tmp_path) -> Project:
    return done.copy(tmp_path / "project")


def start(project: Project, *command: str) -> subprocess.Popen:
    """Start a command like `Project.run`, without waiting for it."""
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


WAIT = ".dvc/tmp/wait"  # Git ignores this folder
LOOP = f"""\
    import os, time
    while os.path.exists({WAIT!r}):
        print("waiting", flush=True)
        time.sleep(0.1)
"""


def let_train_wait(project: Project) -> None:
    """Let `train` wait while the file `WAIT` exists, in all branches to come."""
    path = project.root / "stages/train.py"
    line = '    log.info("fitting'
    text = path.read_text()
    assert line in text
    path.write_text(text.replace(line, LOOP + line))
    project.repro()
    project.commit("Wait in train")


def model(project: Project, variant: str = "multinomial") -> bytes:
    return (project.root / f"data/models/{variant}.npz").read_bytes()


def lock(project: Project) -> str:
    return (project.root / "dvc.lock").read_text()


def test_of_two_full_runs_one_is_refused_and_names_the_other(done, fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    runs = [start(project, "dvc", "repro") for _ in range(2)]
    said = [run.communicate(timeout=PATIENCE)[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 255], said
    refused = said[[run.returncode for run in runs].index(255)]
    assert "dvc repro" in refused
    assert "Traceback" not in refused
    assert "busy" in refused or "Unable to acquire lock" in refused
    assert lock(project) == lock(done)
    assert project.repro() == []


def test_single_stages_run_concurrently(done, project):
    variants = ("multinomial", "one_vs_rest", "logistic_binary")
    for variant in variants:
        (project.root / f"data/models/{variant}.npz").unlink()
    runs = [
        start(project, "dvc", "repro", "--no-run-cache", "-f", "-s", f"train@{variant}")
        for variant in variants
    ]
    said = [run.communicate(timeout=PATIENCE)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert lock(project) == lock(done)
    assert all(model(project, variant) == model(done, variant) for variant in variants)


def test_two_queue_workers_give_the_results_of_plain_runs(project):
    strengths = ("0.01", "0.1", "0.5")
    key = "variants.multinomial.train.C"
    project.run("dvc", "exp", "run", "--queue", "-S", f"{key}={','.join(strengths)}")
    project.run("dvc", "queue", "start", "--jobs", "2")
    end = time.monotonic() + PATIENCE
    while (shown := project.run("dvc", "queue", "status").stdout).count("Success") < 3:
        assert "Failed" not in shown
        assert time.monotonic() < end, shown
        time.sleep(1)
    project.run("dvc", "queue", "stop")

    # Of two that end at the same moment DVC may lose one. Run again, it trains nothing.
    names = project.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert len(names) in (2, 3)
    project.run("dvc", "exp", "remove", names[0])
    for strength in strengths:
        again = project.run("dvc", "exp", "run", "--temp", "-S", f"{key}={strength}")
        assert set(project.stages_run(again)) <= {"check"}
    names = project.run("dvc", "exp", "list", "--name-only").stdout.split()
    found = set()
    for name in names:
        project.run("dvc", "exp", "apply", name)
        text = (project.root / "params.yaml").read_text()
        applied, metrics = model(project), lock(project)
        project.run("dvc", "repro", "--force", "--no-run-cache", "-s", "train@multinomial")
        assert (model(project), lock(project)) == (applied, metrics), text
        found.add(applied)
    assert len(found) == len(strengths)


def test_a_branch_switched_while_a_stage_runs_is_noticed(project):
    let_train_wait(project)
    before = model(project)
    project.run("git", "switch", "--quiet", "--create", "other")
    project.edit("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.25")
    project.commit("Another C")
    project.run("git", "switch", "--quiet", "main")

    (project.root / WAIT).touch()
    run = start(project, "dvc", "repro", "-f", "--no-run-cache", "-s", "train@multinomial")
    while run.stdout.readline() != "waiting\n":
        assert run.poll() is None
    project.run("git", "switch", "--quiet", "other")
    (project.root / WAIT).unlink()
    said, _ = run.communicate(timeout=PATIENCE)

    assert run.returncode != 0
    assert "params.yaml changed while train@multinomial ran" in said
    assert "run `dvc repro` again" in said
    assert not project.run("git", "status", "--porcelain").stdout  # nothing is recorded
    assert "train@multinomial" in project.repro()
    other = model(project)
    assert other != before
    project.run("dvc", "repro", "-f", "--no-run-cache", "-s", "train@multinomial")
    assert model(project) == other
    project.commit("Run with another C")
    project.run("git", "switch", "--quiet", "main")
    project.repro()
    assert model(project) == before
    assert verify.verify(project.root, fix=False) == 0
