"""Damage the machines of a Dask cluster; check that no result is lost or wrong.

    python -m tests.stress.machines --kills 100 --seed 0

Needs Linux and root. The scheduler, the workers and the client have a network and folders
of their own, on one bridge (tests/helpers/machines.py). First each fault occurs once in a
training or a tuning on generated data, which must end as docs/cluster.md says: with the
bytes of a run without a cluster, or with one error and no result, in three minutes. Then
workers are killed, frozen or cut off at random instants, as in tests/stress/cluster.py.
With --mnist FOLDER only that, in trainings on the images of this folder, such as
`data/subsets/digits/train`.
"""

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from digits.data import dataset
from digits.data.dataset import Dataset
from digits.errors import InputError
from tests.helpers.clusters import Stage, tuned_project, wait_until
from tests.helpers.machines import TOP, Machines, isolate
from tests.helpers.project import Project
from tests.stress.cluster import N_WORKERS, PATIENCE, Killing

FITS, PATH, NETWORK = (("tune", name) for name in ("fits", "path", "network"))
TRAIN = ("train", "multinomial")


def nothing(_: Machines) -> None:
    """Let a cluster be."""


class Fault(NamedTuple):
    """What happens to a cluster.

    Attributes:
        name: For the table.
        works: The stages that run meanwhile, one after the other.
        error: A pattern of the error; empty if the result must have the same bytes.
        log: What the cluster's log must contain.
        before: Adds the workers.
        during: Is called while the stage runs.
    """

    name: str
    works: tuple[tuple[str, str], ...]
    error: str = ""
    log: str = ""
    before: Callable[[Machines], object] = lambda on: on.add(N_WORKERS)
    during: Callable[[Machines], object] = nothing


def all_workers_are_replaced(on: Machines) -> None:
    for worker in on.running():
        on.kill(worker)
    on.add()


def client_is_parted(on: Machines) -> None:
    on.part("w0", "client")


def client_is_parted_first(on: Machines) -> None:
    on.add(N_WORKERS)
    client_is_parted(on)


def one_has_little_memory(on: Machines, factor: float = 1.1) -> None:
    """Add a worker without limit, and one that may take little more than it takes idle.

    Dask ends a worker at 95 % of its limit. The libraries alone take more than that.
    """
    on.add()
    idle = psutil.Process(on.workers[0].pid).memory_info().rss
    on.add(nanny=True, memory=str(int(idle * factor / 0.95)))


def all_have_little_memory(on: Machines) -> None:
    one_has_little_memory(on, 1.3)  # at 80 % of its limit it would not begin
    on.kill(on.workers[0])


def one_has_other_code(on: Machines) -> None:
    other = TOP / "code/other"
    shutil.copytree(on.code, other, dirs_exist_ok=True)
    with (other / "digits/grid.py").open("a") as file:
        file.write("\nEXTRA = 1\n")
    on.add()
    on.add(code=other)


def one_has_other_packages(on: Machines) -> None:
    other = TOP / "code/packages"
    shutil.copytree(on.code, other, dirs_exist_ok=True)
    package = other / "numpy-1.0.dist-info"
    package.mkdir(exist_ok=True)
    (package / "METADATA").write_text("Name: numpy\nVersion: 1.0\n")
    on.add()
    on.add(code=other)


GONE = "the scheduler has ended, or does not answer"
FAULTS = (
    Fault("none, and no shared folder", (FITS, PATH, TRAIN)),
    Fault("a worker is killed", (FITS, TRAIN), during=lambda on: on.kill(on.workers[0])),
    Fault(
        "a worker is frozen",
        (FITS, TRAIN),
        during=lambda on: on.kill(on.workers[0], signal.SIGSTOP),
    ),
    Fault("a worker is cut off", (FITS, TRAIN), during=lambda on: on.cut("w0")),
    Fault("the client reaches a worker no more", (TRAIN,), during=client_is_parted),
    Fault("the client never reaches a worker", (TRAIN,), before=client_is_parted_first),
    Fault("all workers are replaced", (FITS, TRAIN), during=all_workers_are_replaced),
    Fault(
        "a worker has little memory",
        (FITS, TRAIN),
        log="memory budget. Restarting",
        before=one_has_little_memory,
    ),
    Fault(
        "all workers have little memory",
        (FITS,),
        "workers ended while they computed the same task",
        before=all_have_little_memory,
    ),
    Fault(
        "all workers are killed",
        (TRAIN,),
        "the scheduler has had no worker for 60 s",
        during=lambda on: [on.kill(worker) for worker in on.running()],
    ),
    Fault("the scheduler is killed", (FITS, TRAIN), GONE, during=Machines.stop_scheduler),
    Fault(
        "the scheduler is cut off",
        (FITS, TRAIN),
        GONE,
        during=lambda on: on.cut("scheduler"),
    ),
    Fault(
        "a worker has other code",
        (FITS, TRAIN),
        "has another version of the code of digits",
        before=one_has_other_code,
    ),
    Fault(
        "a worker has other packages",
        (TRAIN,),
        "has numpy 1.0, and this machine",
        before=one_has_other_packages,
    ),
    Fault(
        "the disk of a worker is full",
        (NETWORK,),
        r"worker tcp://10\..*: .*No space left on device",
        before=lambda on: on.add(disk="64k"),
    ),
)


class Damage:
    """Runs of stages on damaged clusters.

    Args:
        project: The project.
        seed: Of the random instants.
    """

    def __init__(self, project: Project, seed: int):
        self.project, self.rng = project, random.Random(seed)
        works = {work for fault in FAULTS if not fault.error for work in fault.works}
        self.expected = {work: Stage(project, *work).results() for work in sorted(works)}

    def outcome(self, fault: Fault, work: tuple[str, str]) -> str:
        """Return how a stage ended; it starts with `bad` if it should not end so."""
        shutil.rmtree(self.project.root / "data/unfinished", ignore_errors=True)
        before = self.files()
        with Machines(self.project.root) as on:
            fault.before(on)
            stage = Stage(self.project, *work, scheduler=on.address, prefix=on.client)
            start = time.monotonic()
            wait_until(
                lambda: (
                    "Receive client connection" in on.log()
                    or stage.process.poll() is not None
                )
            )
            time.sleep(self.rng.uniform(0.2, 1.5))
            was_running = stage.process.poll() is None
            fault.during(on)
            try:
                said = self.end(stage, fault, work, before)
            except subprocess.TimeoutExpired:
                stage.process.kill()
                stage.process.wait()
                said = "bad: hangs"
            log = on.log()
        if fault.log not in log or (fault.during is not nothing and not was_running):
            said = f"bad: the fault did not occur; {said}"
        if said.startswith("bad"):
            print(log)
        return f"{said} ({time.monotonic() - start:.0f} s)"

    def end(
        self, stage: Stage, fault: Fault, work: tuple[str, str], before: set[Path]
    ) -> str:
        """Wait for the end of a stage, and say what came of it."""
        if not fault.error:
            try:
                same = stage.results(PATIENCE) == self.expected[work]
            except AssertionError as error:
                return f"bad: lost: {error}"
            return "same bytes" if same else "bad: other bytes"
        status, said = stage.end(PATIENCE)
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        if status != 1 or len(errors) != 1 or "Traceback" in said:
            return f"bad: not one error: {status}: {said}"
        if not re.search(fault.error, errors[0]):
            return f"bad: another error: {errors[0]}"
        if left := self.files() - before:
            return f"bad: left {left}"
        return errors[0]

    def files(self) -> set[Path]:
        """Return all files of the project but those that a stopped tuning keeps."""
        kept = self.project.root / "data/unfinished"
        found = self.project.root.rglob("*")
        return {path for path in found if not path.is_relative_to(kept)}


def on_images(folder: Path) -> Project:
    """Return a project whose training images are those in a folder."""
    project = tuned_project(TOP / "project")
    place = project.root / "data/subsets/digits"
    test = dataset.load_split(place / "test")
    dataset.save(place, Dataset(dataset.load_split(folder), test))
    return project


def main() -> None:
    """Print a table of faults, and counts; status 1 if anything ended badly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10, help="number of kills (10)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    parser.add_argument("--mnist", type=Path, metavar="FOLDER", help="images to train on")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="faults whose names contain this"
    )
    arguments = parser.parse_args()
    try:
        isolate()
    except InputError as error:
        parser.error(str(error))
    # The first process of a namespace ignores signals that it does not handle.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bad = 0
    if arguments.mnist:
        project = on_images(arguments.mnist.absolute())
        stages = (TRAIN,)
    else:
        project = tuned_project(TOP / "project")
        stages = (FITS, PATH, TRAIN)
        damage = Damage(project, arguments.seed)
        for fault in FAULTS:
            for work in fault.works if arguments.only in fault.name else ():
                said = damage.outcome(fault, work)
                bad += said.startswith("bad")
                print(f"{fault.name}; {' '.join(work)}: {said}", flush=True)
    if arguments.kills:
        shutil.rmtree(project.root / "data/unfinished", ignore_errors=True)
        with Machines(project.root) as on:
            killing = Killing(project, on, arguments.seed, arguments.kills, stages)
            killing.repeat()
        bad += killing.is_bad()
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
