"""Time a tuning of 11 values on 5 folds on 1, 2 and 4 workers, with simulated fits.

    make setup EXTRAS=cluster
    python benchmarks/cluster.py

A fit waits instead of computing, because a machine with fewer processors than workers would
measure its processors. So the times show what the cluster adds: start, connection, tasks
and results. The scores have the size of those of MNIST. On this machine, fits run one after
the other, so 55 of them wait 55 times as long as one; the last column is how long a fit
must take for the cluster to be as fast as that, with its start.
"""

import argparse
import statistics
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np
from distributed import LocalCluster

from digits import cluster, worker_files
from digits.data import dataset
from digits.data.dataset import Dataset, Split
from digits.tuning import on_cluster
from digits.tuning.tasks import HeldOut, Store, Task

N_VALUES, N_FOLDS = 11, 5
N_IMAGES, N_CLASSES = 60_000, 10
FITS = (0.1, 0.5)  # seconds of a fit


def fit(split: Split, fold: np.ndarray, _folder: Path, task: Task) -> HeldOut:
    """Wait for as long as the task says, then return scores."""
    held_out = split.images[fold == task.fold]
    time.sleep(float(task.train.partition(" ")[2]))
    return HeldOut(np.zeros((len(held_out), N_CLASSES)), "largest")


def measure(
    n_workers: int, seconds: float, folder: Path, *, sent: bool
) -> tuple[float, float, float]:
    """Return the seconds for the start, for the connection, and for the tuning.

    Args:
        n_workers: How many workers.
        seconds: Of a fit.
        folder: With the images.
        sent: Whether the images are sent, as if no worker saw them.
    """
    function = import_module("cluster").fit  # of this file, but not of `__main__`
    split = dataset.load_split(folder / "train")
    fold = np.arange(N_IMAGES) % N_FOLDS
    values = [f"{value} {seconds}" for value in range(N_VALUES)]
    tasks = [Task(value, n) for value in values for n in range(N_FOLDS)]
    start = time.perf_counter()
    with LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
    ) as local:
        started = time.perf_counter()
        with cluster.connect(local.scheduler_address) as client:
            connected = time.perf_counter()
            on = on_cluster.Cluster(client, folder / "train", split, fold)
            if sent:
                on.send(worker_files.NotSeenError("benchmark"))
            store = Store(folder / f"store-{time.time_ns()}", "")
            done = [*on_cluster.run(tasks, on, function, store)]
            end = time.perf_counter()
    assert len(done) == len(tasks)  # noqa: S101 (a benchmark)
    return started - start, connected - started, end - connected


def main() -> None:
    """Print the medians of some runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (N_IMAGES, 28, 28)).astype(np.uint8)
    labels = (np.arange(N_IMAGES) % N_CLASSES).astype(np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset.save(
            folder, Dataset(Split(images, labels), Split(images[:10], labels[:10]))
        )
        kinds = [(n, fit, sent) for n in (1, 2, 4) for fit in FITS for sent in (0, 1)]
        times = [
            [measure(n, seconds, folder, sent=bool(sent)) for n, seconds, sent in kinds]
            for _ in range(rounds)
        ]
    print("workers  fit  images  start  connect  tuning  of it waiting  here  even at")
    for (n, seconds, sent), of_kind in zip(kinds, zip(*times, strict=True), strict=True):
        start, connect, tuning = (
            statistics.median(column) for column in zip(*of_kind, strict=True)
        )
        n_tasks = N_VALUES * N_FOLDS
        in_turn = -(-n_tasks // n)  # fits of the worker that has most
        added = start + connect + tuning - in_turn * seconds
        even = f"{added / (n_tasks - in_turn):7.2f}" if n > 1 else "  never"
        print(
            f"{n:7}  {seconds:3.1f}  {'sent' if sent else 'seen':6}  {start:5.1f}  "
            f"{connect:7.1f}  {tuning:6.1f}  {in_turn * seconds:13.1f}  "
            f"{n_tasks * seconds:4.0f}  {even}"
        )


if __name__ == "__main__":
    main()
