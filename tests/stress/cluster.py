"""Kill workers of a Dask cluster at random instants; check that no result is lost or wrong.

    python -m tests.stress.cluster --kills 100 --seed 0

Stages run in turn on a cluster of two workers, on generated data. At random instants a
worker is killed with SIGKILL or frozen with SIGSTOP, some with a nanny that starts them
again, and another worker joins. A stage must end with the bytes of a run without a cluster:
another end counts as lost, other bytes as wrong, and no end in three minutes as hanging.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.clusters import Cluster, Stage, tuned_project
from tests.helpers.project import Project

# The stages that use a cluster, and their names.
WORK = (("tune", "fits"), ("tune", "path"), ("train", "multinomial"))
N_WORKERS = 2
PATIENCE = 180  # seconds
PER_RUN = 3  # kills: Dask gives a task up after four of its workers have ended
BAD = ("lost", "wrong", "hanging")


class Killing:
    """Runs of stages during which workers are killed.

    Args:
        project: the project.
        on: the cluster.
        seed: of the random numbers.
        total: the number of kills after which nothing is killed.
        works: the stages that are run in turn, and their names.

    Attributes:
        counts: kills, runs and failures, by name.
    """

    def __init__(
        self,
        project: Project,
        on: Cluster,
        seed: int,
        total: int,
        works: Sequence[tuple[str, str]] = WORK,
    ):
        self.project, self.on, self.total = project, on, total
        self.rng = random.Random(seed)
        self.counts: Counter = Counter(kills=0, runs=0, lost=0, wrong=0, hanging=0)
        self.expected = {work: Stage(project, *work).results() for work in works}
        self.damaged: list[subprocess.Popen] = []

    def run(self, work: tuple[str, str]) -> None:
        """Run a stage, kill workers meanwhile, and compare its results."""
        self.replace_workers()
        ended = threading.Event()
        killer = threading.Thread(target=self.kill_until, args=(ended,))
        address, prefix = self.on.address, self.on.client
        stage = Stage(self.project, *work, scheduler=address, prefix=prefix)
        killer.start()
        try:
            if stage.results(PATIENCE) != self.expected[work]:
                self.fail("wrong", work)
        except AssertionError as error:
            self.fail("lost", work, error)
        except subprocess.TimeoutExpired:
            stage.process.kill()
            self.fail("hanging", work)
        ended.set()
        killer.join()
        self.counts["runs"] += 1

    def fail(self, how: str, work: tuple[str, str], why: object = "") -> None:
        print(f"{how}: {' '.join(work)} after {self.counts['kills']} kills {why}")
        self.counts[how] += 1

    def kill_until(self, ended: threading.Event) -> None:
        """Kill workers until a stage has ended, at most `PER_RUN`; replace each."""
        for _ in range(PER_RUN):
            if ended.wait(self.rng.uniform(0.5, 6)) or self.counts["kills"] >= self.total:
                return
            worker = self.rng.choice(self.undamaged())
            fault = self.rng.choice(self.on.faults)
            self.on.damage(worker, fault)
            self.damaged.append(worker)
            self.counts["kills"] += 1
            self.counts[fault] += 1
            self.on.add(nanny=self.rng.random() < 1 / 2)

    def undamaged(self) -> list[subprocess.Popen]:
        return [worker for worker in self.on.running() if worker not in self.damaged]

    def replace_workers(self) -> None:
        """End workers that are damaged or too many; start those that are missing."""
        keep = self.undamaged()[-N_WORKERS:]
        for worker in self.on.running():
            if worker not in keep:
                self.on.kill(worker)
        self.on.add(N_WORKERS - len(keep))

    def repeat(self) -> None:
        """Run all stages in turn until there were enough kills; print the counts."""
        while self.counts["kills"] < self.total:
            for work in self.expected:
                self.run(work)
        kinds = ", ".join(f"{self.counts[how]} {how}" for how in sorted({*self.on.faults}))
        bad = ", ".join(f"{self.counts[what]} {what}" for what in BAD)
        print(
            f"{self.counts['kills']} kills ({kinds}) in {self.counts['runs']} runs: {bad}"
        )

    def is_bad(self) -> bool:
        return any(self.counts[what] for what in BAD)


def main() -> None:
    """Print the counts; status 1 if a result was lost or wrong, or a stage hung."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="number of kills (100)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = tuned_project(Path(name) / "project")
        with Cluster(Path(name) / "cluster", code=project.root) as on:
            killing = Killing(project, on, arguments.seed, arguments.kills)
            killing.repeat()
    sys.exit(killing.is_bad())


if __name__ == "__main__":
    main()
