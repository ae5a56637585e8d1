"""After `digits unlock` DVC starts again, whatever files a killed DVC left."""

import json
import os
import subprocess
import sys

import pytest

from digits import locks
from digits.commands import unlock


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


def test_intact_files_are_not_touched(project):
    before = (project.root / "dvc.lock").read_bytes()
    assert list(unlock.unlock(project.root)) == []
    assert (project.root / "dvc.lock").read_bytes() == before


def dvc(folder):
    """Make a folder another DVC project."""
    (folder / ".dvc/tmp").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("folder", [".", "published"])
def test_an_empty_list_of_locks_is_removed_and_a_valid_one_stays(project, folder, caplog):
    dvc(project.root / folder)
    path = locks.rwlock_of(project.root / folder)
    path.write_text("{}")
    assert list(unlock.unlock(project.root)) == []
    path.write_text("")
    assert list(unlock.unlock(project.root)) == []
    assert f"{path}: was empty, and was removed" in caplog.text
    assert path.read_text()  # as DVC has rewritten it


@pytest.mark.slow
def test_a_lock_that_dvc_is_writing_is_not_repaired(project):
    """DVC holds its lock while it writes, which is not atomic."""
    path = project.root / "dvc.lock"
    whole = path.read_text().replace("dvc.lock", "") + "# as written by DVC\n"
    writes = (
        "import sys, time; from pathlib import Path; from dvc.repo import Repo\n"
        "with Repo('.') as repo, repo.lock:\n"
        "    path = Path('dvc.lock'); whole = sys.stdin.read()\n"
        "    path.write_text(whole[:2000] + 'cut: ['); print(flush=True)\n"
        "    time.sleep(1); path.write_text(whole)\n"
    )
    dvc = subprocess.Popen(
        [sys.executable, "-c", writes],
        cwd=project.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    dvc.stdin.write(whole)
    dvc.stdin.close()
    dvc.stdout.readline()
    assert not unlock.is_whole(path)
    assert list(unlock.unlock(project.root)) == []
    assert path.read_text() == whole
    dvc.stdout.close()
    assert dvc.wait() == 0


@pytest.mark.parametrize(
    "command",
    [
        "unlock",
        "verify --fix",
        pytest.param("verify", marks=pytest.mark.slow),
        pytest.param("remove multinomial", marks=pytest.mark.slow),
    ],
)
def test_while_a_stage_runs_nothing_is_touched(project, command):
    """DVC's list of locks names the process that writes a result."""
    lock = project.root / "dvc.lock"
    lock.write_text("cut: [" if command == "unlock" else lock.read_text())
    before = lock.read_text(), (project.root / "params.yaml").read_text()
    path = str(project.root / "data/models/multinomial.npz")
    held = {"write": {path: {"pid": os.getpid(), "cmd": "dvc repro"}}}
    locks.rwlock_of(project.root).write_text(json.dumps(held))
    result = project.run("python", "-m", "digits", *command.split(), check=False)
    assert result.returncode in (1, 2)
    assert f"(PID {os.getpid()}): dvc repro" in result.stderr
    assert "Traceback" not in result.stderr
    assert (lock.read_text(), (project.root / "params.yaml").read_text()) == before


@pytest.mark.parametrize(
    "left", ["", "schema: '2.0'\nstages:\n  check:\n    deps:\n    - path:"]
)
def test_a_truncated_lock_is_restored_from_git(project, left):
    path = project.root / "dvc.lock"
    before = path.read_bytes()
    path.write_text(left)
    assert "restored from Git" in "".join(unlock.unlock(project.root))
    assert path.read_bytes() == before


def test_a_truncated_lock_that_git_does_not_have_is_made_again(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    (project.root / "dvc.lock").write_text("stages: [")
    assert "`dvc repro` writes it again" in "".join(unlock.unlock(project.root))
    assert not (project.root / "dvc.lock").exists()
