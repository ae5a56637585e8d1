"""How the process of a stage ends: with the DVC that started it, and on any signal.

DVC that is killed leaves its stage running, and the next `dvc repro` starts a second one;
so a stage ends by itself, and writes no result, once its DVC has gone. There may be a
shell between the two, but DVC's list of locks says which process it is:
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

PAUSE = 0.2  # seconds between two looks
GRACE = 5.0  # seconds to remove temporary files, before the process ends in any case
_GONE = "the `dvc` that started this stage has gone, so the result is not recorded"

_dvc: psutil.Process | None = None


def follow(root: Path) -> list[Path]:
    """End with the DVC that started this stage in the project at `root`, and on SIGTERM.

    The main thread removes what is half-written. If it cannot, as in a long computation
    in C, the process ends without it. A stage that you start yourself follows nobody.

    Returns what DVC has locked for the stage to read; raises `InputError` if DVC has gone.
    """
    global _dvc
    inputs: list[Path] = []
    if "DVC_STAGE" in os.environ:
        _dvc, inputs = _starter(root / ".dvc/tmp/rwlock")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to in C, at once
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
    """Tell whether DVC started this stage and has ended since."""
    return _dvc is not None and not _is_alive(_dvc)


def refuse_orphan() -> None:
    """Raise `InputError` if DVC started this stage and has ended since."""
    if has_gone():
        raise InputError(f"{_GONE}; run `dvc repro` again")


def is_running(number: str, since: float) -> bool:
    """Tell whether the process of that number still is the one that ran at that time.

    since: seconds of the clock
    """
    try:
        process = psutil.Process(int(number))
        # psutil's time of the start may be a second late
        return process.create_time() < since + 2 and _is_alive(process)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def _is_alive(process: psutil.Process) -> bool:
    """Tell whether it runs; a killed one may wait to be taken note of."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _starter(locks: Path) -> tuple[psutil.Process, list[Path]]:
    """Return the process that holds locks for this one, and on what for it to read."""
    for _ in range(50):  # DVC does not write it at once
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
                if path not in writes  # DVC reads the outputs, too
                and any(reader["pid"] == process.pid for reader in readers)
            ]
    raise InputError(f"{_GONE}; run `dvc repro` again")
