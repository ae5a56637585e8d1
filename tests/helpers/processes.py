"""Find and kill the processes of a project."""

import os
import signal
import time
from pathlib import Path

PATIENCE = 10.0  # seconds after which a process that still runs counts as left running


def processes(root: Path) -> dict[int, str]:
    """Return the processes whose working directory is the project.

    Args:
        root: the project's folder.

    Returns:
        Each process's command line by its number.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve() == root.resolve():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
        except OSError:
            continue  # it has ended, or belongs to another user
    return {pid: command for pid, command in found.items() if command}


def kill(root: Path, target: str, how: signal.Signals) -> None:
    """Send a signal to processes of a project.

    Args:
        root: the project's folder.
        target: "dvc", "stage", or "both", which includes the shell between them.
        how: the signal.
    """
    for pid, command in processes(root).items():
        is_stage = "stages." in command
        if target == "both" or (target == "stage") == is_stage:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue


def left_running(root: Path, *, ctrl_c: bool = False) -> list[str]:
    """Wait until a project's processes have ended.

    Args:
        root: the project's folder.
        ctrl_c: whether the user presses Ctrl-C again while DVC still runs. While a stage
            ends, DVC ignores it and starts the next stage.

    Returns:
        The command lines of the processes that still run after `PATIENCE`.
    """
    end, again = time.monotonic() + PATIENCE, time.monotonic() + PATIENCE / 4
    while running := processes(root):
        now = time.monotonic()
        if now > end:
            return list(running.values())
        if ctrl_c and now > again and "repro" in " ".join(running.values()):
            kill(root, "both", signal.SIGINT)
            again = now + PATIENCE / 4
        time.sleep(0.05)
    return []
