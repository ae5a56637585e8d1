"""A Dask cluster of processes on this machine, for tests that damage it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import psutil

from tests.helpers.project import ROOT

PATIENCE = 60  # seconds for a process to start or to end
# A scheduler drops a worker that it has not heard of for so long.
FROZEN = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}


def wait_until(condition, patience: float = PATIENCE):
    """Wait until a condition has a true value, and return it."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0.05)
    return found


class Cluster:
    """A scheduler and its workers. Use it as a context manager, which ends them all.

    Args:
        folder: For the scheduler file, logs and the workers' folders.
        code: The folder whose `digits` and `stages` the workers import.
        protocol: `tcp` or `tls`.
        environment: Variables, in addition to those of this process.
        port: Of the scheduler; 0 for any.
    """

    def __init__(
        self,
        folder: Path,
        code: Path = ROOT,
        protocol: str = "tcp",
        environment: dict[str, str] | None = None,
        port: int = 0,
    ):
        self.folder, self.protocol, self.port = folder, protocol, port
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = os.environ | FROZEN | {"PYTHONPATH": str(code)}
        self.environment |= environment or {}
        self.environment.pop("DIGITS_SCHEDULER", None)
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen] = []
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> subprocess.Popen:
        self.file.unlink(missing_ok=True)
        scheduler = self.start(
            "scheduler", "--host", f"{self.protocol}://127.0.0.1", "--port", str(self.port),
            "--no-dashboard", "--scheduler-file", str(self.file),
        )  # fmt: skip
        wait_until(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]
        return scheduler

    def start(
        self, *arguments: str, prefix: Sequence[str] = (), **options
    ) -> subprocess.Popen:
        """Start a part of Dask, in a process group of its own."""
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [*prefix, sys.executable, "-m", "dask", *arguments],
                cwd=self.folder, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, **{"env": self.environment, **options},
            )  # fmt: skip

    def add(
        self,
        n: int = 1,
        *,
        nanny: bool = False,
        threads: int = 1,
        wait: bool = True,
        **options,
    ) -> None:
        """Start workers, each with a folder of its own."""
        for _ in range(n):
            number = len(self.workers)
            worker = self.start(
                "worker", self.address, "--nthreads", str(threads), "--no-dashboard",
                "--name", f"w{number}-{os.urandom(3).hex()}", "--memory-limit", "0",
                "--host", f"{self.protocol}://127.0.0.1",
                "--local-directory", str(self.folder / f"w{number}"),
                "--nanny" if nanny else "--no-nanny", "--death-timeout", "30", **options,
            )  # fmt: skip
            self.workers.append(worker)
        if wait:
            wait_until(lambda: self.n_connected() >= len(self.running()))

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def n_connected(self) -> int:
        """Return how often a worker has connected, less those that have ended."""
        ended = len(self.workers) - len(self.running())
        return self.log().count("        Registered to:") - ended

    def running(self) -> list[subprocess.Popen]:
        return [worker for worker in self.workers if worker.poll() is None]

    def kill(self, worker: subprocess.Popen, how: int = signal.SIGKILL) -> None:
        """Send a signal to a worker and its children."""
        for process in (*psutil.Process(worker.pid).children(recursive=True), worker):
            try:
                os.kill(process.pid, how)
            except ProcessLookupError:
                continue
        if how == signal.SIGKILL:
            worker.wait(PATIENCE)

    def kill_child(self, worker: subprocess.Popen) -> None:
        """Kill the worker of a nanny, which starts another one."""
        children = psutil.Process(worker.pid).children(recursive=True)
        next(c for c in children if "spawn_main" in " ".join(c.cmdline())).kill()

    def stop_scheduler(self, how: int = signal.SIGKILL) -> None:
        self.scheduler.send_signal(how)
        if how == signal.SIGKILL:
            self.scheduler.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        for process in (*self.running(), self.scheduler):
            if process.poll() is None:
                self.kill(process)
