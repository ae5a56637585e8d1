"""How a stage ends: in good order, and with whoever started it."""

import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from tiny import PARAMS, ROOT

STAGE = textwrap.dedent("""
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


@pytest.fixture
def folder(tmp_path):
    shutil.copy(PARAMS, tmp_path / "params.yaml")
    (tmp_path / "stage.py").write_text(STAGE)
    return tmp_path


def is_tidy(folder):
    return {path.name for path in folder.iterdir()} == {"params.yaml", "stage.py"}


@pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stage_that_is_stopped_tidies_up(folder, how, status):
    process = start(folder, [sys.executable, "stage.py"])
    process.send_signal(how)
    process.communicate(timeout=10)
    assert process.returncode == status
    assert is_tidy(folder)


def test_a_stage_ends_when_its_parent_is_killed(folder):
    parent = "import subprocess, sys; subprocess.run([sys.executable, 'stage.py'])"
    process = start(folder, [sys.executable, "-c", parent])
    process.kill()
    # The stage holds the other end of the pipe: it ends when the stage does.
    rest, _ = process.communicate(timeout=10)
    assert not rest
    end = time.monotonic() + 5
    while not is_tidy(folder):
        assert time.monotonic() < end
        time.sleep(0.05)


def start(folder, command):
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process
