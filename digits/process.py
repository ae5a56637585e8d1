"""End a stage together with the DVC process that started it, and on a signal.

A killed DVC leaves its stage running, and the next `dvc repro` starts a second one. So a
stage ends, and writes no result, once its DVC has ended. A shell may be between the two
processes, but DVC's list of locks names the process:
https://github.com/treeverse/dvc/pull/2584.
"""

import json
import logging
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

from digits.errors import InputError

log = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two checks
GRACE = 5.0  # seconds to remove temporary files before the process ends
_GONE = "the `dvc` that started this stage has ended, so the result is not recorded"

_dvc: psutil.Process | None = None


def end_with_dvc(root: Path) -> list[Path]:
    """End with the DVC process that started this stage, and on SIGTERM.

    The main thread removes temporary files. If it cannot, as in a long computation in C,
    the process ends without that. A stage that a user starts directly follows no process.

    Args:
        root: The folder of the project.

    Returns:
        The paths that DVC has locked for the stage to read.

    Raises:
        InputError: If DVC has ended.
    """
    global _dvc
    inputs: list[Path] = []
    if "DVC_STAGE" in os.environ:
        _dvc, inputs = _starter(root / ".dvc/tmp/rwlock")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def watch() -> None:
        number = 0
        while number not in (signal.SIGTERM, signal.SIGINT):
            if select.select([reader], [], [], PAUSE)[0]:
                number = os.read(reader, 1)[0]
            elif has_gone():
                log.error("error: %s; this stage ends", _GONE)
                os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + number)

    threading.Thread(target=watch, daemon=True).start()
    return inputs


def has_gone() -> bool:
    """Return whether DVC started this stage and has ended since."""
    return _dvc is not None and not _is_alive(_dvc)


def refuse_orphan() -> None:
    """Raise `InputError` if DVC started this stage and has ended since."""
    if has_gone():
        raise InputError(f"{_GONE}; run `dvc repro` again")


def is_running(number: str, since: float) -> bool:
    """Return whether the process that had this number at some time still runs.

    Args:
        number: The process ID.
        since: The time, in seconds since the epoch.
    """
    try:
        process = psutil.Process(int(number))
        # psutil's start time may be a second late
        return process.create_time() < since + 2 and _is_alive(process)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def _is_alive(process: psutil.Process) -> bool:
    """Return whether it runs; a killed process may still exist as a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _starter(locks: Path) -> tuple[psutil.Process, list[Path]]:
    """Return the process that locks for this stage, and the paths it locks to read."""
    for _ in range(50):  # DVC does not write it atomically
        try:
            held = json.loads(locks.read_text("utf-8"))
            break
        except (OSError, ValueError):
            time.sleep(0.02)
    else:
        raise InputError(f"{locks}: DVC's list of locks cannot be read; run it again")
    writes = held.get("write", {})
    writers = {info["pid"] for info in writes.values()}
    for process in psutil.Process().parents():
        if process.pid in writers:
            return process, [
                Path(path)
                for path, readers in held.get("read", {}).items()
                if path not in writes  # DVC also reads the outputs
                and any(reader["pid"] == process.pid for reader in readers)
            ]
    raise InputError(f"{_GONE}; run `dvc repro` again")
