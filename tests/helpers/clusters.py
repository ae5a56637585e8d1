"""A Dask cluster of processes on this machine, for tests that damage it."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil

from digits.data import dataset
from digits.data.dataset import Dataset, Split
from digits.errors import InputError
from digits.solvers.rows import Segment
from tests.helpers.project import ROOT, Project, generate, make

PATIENCE = 60  # seconds for a process to start or to end
# A scheduler drops a worker that it has not heard of for so long.
FROZEN = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}

JOINED = "        Registered to:"  # in the log, once for each worker


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

    Attributes:
        faults: What `damage` does to a worker; each as often as it should be chosen.
        client: A command that runs its arguments where they reach the scheduler.
    """

    faults: tuple[str, ...] = ("SIGKILL", "SIGKILL", "SIGSTOP")
    client: tuple[str, ...] = ()

    def __init__(
        self,
        folder: Path,
        code: Path = ROOT,
        protocol: str = "tcp",
        environment: dict[str, str] | None = None,
        port: int = 0,
    ):
        self.folder, self.protocol, self.port = folder, protocol, port
        self.code = code
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
        wait_until(lambda: self.file.exists() and self.file.read_text().endswith("}"))
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
        memory: str = "0",
        code: Path | None = None,
        **options,
    ) -> None:
        """Start workers, each with a folder of its own, and wait until they have joined.

        Args:
            n: How many.
            nanny: Whether a process watches each, and starts it again.
            threads: Of each.
            memory: Of each; 0 for no limit.
            code: The folder with their code, if it is not that of the others.
            options: For `start_worker`.
        """
        for _ in range(n):
            number, n_joined = len(self.workers), self.log().count(JOINED)
            worker = self.start_worker(
                f"w{number}", code or self.code,
                "--name", f"w{number}-{os.urandom(3).hex()}", "--memory-limit", memory,
                "--nthreads", str(threads), "--no-dashboard",
                "--nanny" if nanny else "--no-nanny", "--death-timeout", "30", **options,
            )  # fmt: skip
            self.workers.append(worker)
            wait_until(lambda before=n_joined: self.log().count(JOINED) > before)

    def start_worker(
        self, name: str, code: Path, *arguments: str, **options
    ) -> subprocess.Popen:
        """Start a worker; `arguments` are Dask's, `options` are for `start`."""
        return self.start(
            "worker", self.address, "--host", f"{self.protocol}://127.0.0.1",
            "--local-directory", str(self.folder / name), *arguments,
            **{"env": self.environment | {"PYTHONPATH": str(code)}, **options},
        )  # fmt: skip

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def running(self) -> list[subprocess.Popen]:
        return [worker for worker in self.workers if worker.poll() is None]

    def kill(self, worker: subprocess.Popen, how: int = signal.SIGKILL) -> None:
        """Send a signal to a worker and its children."""
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            children = psutil.Process(worker.pid).children(recursive=True)
            for process in (
                worker,
                *children,
            ):  # first the nanny, which would start another
                os.kill(process.pid, how)
        if how == signal.SIGKILL:
            worker.wait(PATIENCE)

    def damage(self, worker: subprocess.Popen, fault: str) -> None:
        """Do one of `faults` to a worker."""
        self.kill(worker, signal.Signals[fault])

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


TUNINGS = """
tuning:
  fits:
    variant: multinomial
    folds: 5
    grid: {C: [0.01, 0.1, 1], max_iter: [2000]}
  path:
    variant: multinomial
    folds: 5
    grid: {C: [0.01, 0.1], preprocess: [null, deskew]}
  network:
    variant: lenet5
    folds: 2
    grid: {batch_size: [64, 128]}
"""


def tuned_project(root: Path) -> Project:
    """Return a project with tunings of images that are difficult to tell apart."""
    data = generate(300, 120)
    noise = np.random.default_rng(0).integers(0, 256, data.train.images.shape)
    images = (data.train.images * 0.2 + noise * 0.8).astype(np.uint8)
    data = Dataset(Split(images, data.train.labels), data.test)
    project = make(root, data, lenet5=True)
    with (root / "params.yaml").open("a") as file:
        file.write(TUNINGS)
    dataset.save(root / "data/subsets/digits", data)
    return project


class Stage:
    """A stage of a project that runs.

    Args:
        project: The project.
        command: The stage and its arguments, such as `tune`, `fits`.
        scheduler: The address of a cluster's scheduler; empty for none.
        prefix: A command that runs the stage, such as `Cluster.client`.
    """

    def __init__(
        self,
        project: Project,
        *command: str,
        scheduler: str = "",
        prefix: Sequence[str] = (),
    ):
        self.stage, self.name, *options = command
        self.root = project.root
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", f"stages.{self.stage}", self.name, *options],
            cwd=self.root, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | {"DIGITS_SCHEDULER": scheduler},
        )  # fmt: skip

    def n_stored(self) -> int:
        """Return how many fits are in the store of a tuning."""
        return len([*(self.root / "data/unfinished/tuning" / self.name).glob("*.npz")])

    def end(self, patience: float = 2 * PATIENCE) -> tuple[int, str]:
        """Wait for the end; return the exit status, and what it said."""
        said = self.process.communicate(timeout=patience)[1]
        return self.process.returncode, said

    def results(self, patience: float = 2 * PATIENCE) -> dict[str, bytes]:
        """Wait for the end, and return the contents of the files that the stage wrote."""
        status, said = self.end(patience)
        assert status == 0, said
        if self.stage == "train":
            curve = self.root / "metrics" / self.name / "training/curve.csv"
            paths = [self.root / f"data/models/{self.name}.npz", curve]
        else:
            folder = self.root / "tuning"
            paths = [folder / f"{self.name}.json", *sorted((folder / self.name).iterdir())]
        found = {path.name: path.read_bytes() for path in paths}
        for path in paths:
            path.unlink()
        return found


# Functions that tests submit.


def tick(path: str, seconds: float) -> None:
    """Append to a file ten times a second."""
    for _ in range(int(seconds * 10)):
        with Path(path).open("a") as file:
            file.write(".")
        time.sleep(0.1)


def tick_for(segment: Segment, folder: str, seconds: float) -> tuple[Any, ...]:
    """Append to a file of this segment ten times a second, as an operation on rows."""
    tick(f"{folder}/{segment.number}", seconds)
    return (1,)


def wait_for(path: str) -> None:
    """Wait until a file is there."""
    while not Path(path).exists():
        time.sleep(0.05)


TAKEN: list[np.ndarray] = []


def take_memory() -> None:
    """Take 200 MB and keep them; wait until the worker has looked at its memory."""
    TAKEN.append(np.ones(25_000_000))
    time.sleep(1)


def fill_disk(*_) -> None:
    """Fail as on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk_in_a_fit() -> None:
    """Fail as a fit of a tuning does that cannot write its checkpoint."""
    try:
        try:
            fill_disk()
        except OSError as error:
            raise InputError(f"cannot be written ({error})") from error
    except InputError as error:
        raise InputError(f"the fit: {error}") from error


def end_worker(*_) -> None:
    """End this worker, as when memory is short."""
    os._exit(1)
