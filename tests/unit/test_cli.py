"""A stage removes its temporary files, and ends with the DVC that started it."""

import shutil
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from digits import process
from digits.data import files
from digits.errors import InputError
from tests.helpers.project import PARAMS, ROOT

STAGE = textwrap.dedent("""
    import hashlib
    import signal
    import time
    from pathlib import Path
    from digits.config import cli
    from digits.data import files

    # A shell's job in the background ignores it, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def main(params, root):
        with files.replacing(Path("result")) as temporary:
            temporary.write_text("half")
            print("begun", flush=True)
            time.sleep(30)

    cli.run(main, "a stage that never ends")
""")

IMPORTED = textwrap.dedent("""
    import signal
    import time

    signal.signal(signal.SIGINT, signal.default_int_handler)  # as above
    print("begun", flush=True)
    time.sleep(30)
""")

# What DVC does, as a stage sees it.
DVC = textwrap.dedent("""
    import json, os, subprocess, sys
    from pathlib import Path

    locks = Path(".dvc/tmp/rwlock")
    locks.parent.mkdir(parents=True)
    held = {"write": {"result": {"pid": os.getpid(), "cmd": "dvc repro"}}}
    locks.write_text(json.dumps(held))
    command = sys.argv[1].format(f"{sys.executable} stage.py")
    subprocess.run(["sh", "-c", command], env=os.environ | {"DVC_STAGE": "a"})
""")


@pytest.fixture
def folder(tmp_path):
    shutil.copy(PARAMS, tmp_path / "params.yaml")
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: python stage.py}}")
    return tmp_path


def is_tidy(folder):
    return not list(folder.glob(".tmp-*")) and not (folder / "result").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_stage_removes_its_temporary_files(folder, how, status):
    stage = start(folder, [sys.executable, "stage.py"])
    stage.send_signal(how)
    stage.communicate(timeout=10)
    assert stage.returncode == status
    assert is_tidy(folder)


@pytest.mark.parametrize(
    "command",
    ["stages.train line", "digits predict x.png"],
)
def test_ctrl_c_while_libraries_are_imported_prints_nothing(tmp_path, command):
    (tmp_path / "numpy.py").write_text(IMPORTED)  # found before the real one
    process = start(tmp_path, [sys.executable, "-m", *command.split()])
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 130


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["exec {}", "{}; true"], ids=["alone", "in a shell"])
def test_a_stage_ends_when_its_dvc_is_killed(folder, shell):
    dvc = start(folder, [sys.executable, "-c", DVC, shell])
    dvc.kill()
    # The stage has the other end of the pipe, which closes when the stage ends.
    _, said = dvc.communicate(timeout=10)
    assert "the `dvc` that started this stage has ended" in said
    wait_until(lambda: is_tidy(folder))


@pytest.mark.slow
def test_a_stage_whose_dvc_has_ended_before_it_starts_does_nothing(folder):
    dvc = start(folder, [sys.executable, "-c", DVC, "exec {}"])
    dvc.kill()
    dvc.communicate(timeout=10)
    result = subprocess.run(
        [sys.executable, "stage.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "DVC_STAGE": "a"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "run `dvc repro` again" in result.stderr
    assert not result.stdout


def test_no_result_is_renamed_after_dvc_has_ended(tmp_path, monkeypatch):
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(process, "_dvc", psutil.Process(ended.pid))
    files.write_json(tmp_path / "before.json", {})
    ended.stdin.close()
    wait_until(process.has_gone)  # although its parent has not waited for it
    with pytest.raises(InputError, match="has ended"):
        files.write_json(tmp_path / "value.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["before.json"]
    ended.wait()


@pytest.mark.slow
def test_a_stage_started_by_hand_outlives_its_shell(folder):
    shell = start(folder, ["sh", "-c", f"{sys.executable} stage.py & wait"])
    (stage,) = psutil.Process(shell.pid).children()
    shell.kill()
    shell.wait()
    time.sleep(5 * process.PAUSE)
    assert stage.is_running()
    stage.terminate()
    shell.communicate(timeout=10)
    assert is_tidy(folder)


def test_sigterm_ends_a_stage_whose_main_thread_is_busy(folder):
    """As in OpenBLAS, which requests memory in an endless loop."""
    path = folder / "stage.py"
    endless = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**30)"
    text = path.read_text().replace("time.sleep(30)", endless)
    path.write_text(f"from digits import process\nprocess.GRACE = 0.2\n{text}")
    stage = start(folder, [sys.executable, "stage.py"])
    stage.terminate()
    stage.communicate(timeout=10)
    assert stage.returncode == 143


BAR = """
import logging, sys
from tqdm import tqdm
from digits.config import cli
with cli.reporting(1), tqdm(range(2), "epochs", file=sys.stderr, ncols=40) as bar:
    for _ in bar:
        logging.info("one line")
"""


def test_a_line_of_the_log_is_above_the_progress_bar():
    result = subprocess.run(
        [sys.executable, "-c", BAR], cwd=ROOT, capture_output=True, text=True, check=True
    )
    shown = [line.split("\r")[-1] for line in result.stderr.split("\n")]
    assert shown.count("one line") == 2


def wait_until(true):
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def start(folder, command):
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process
