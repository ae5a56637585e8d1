"""The fits of a tuning on the workers of a Dask cluster.

A worker memory-maps the training images if it sees their files, with the same content.
Otherwise they are sent to it, once. A task has the parameters and a fold, its result is
scores, and the client keeps those in the store.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits import cluster
from digits.data.dataset import Split
from digits.tuning import tasks
from digits.tuning.tasks import HeldOut, Store, Task

log = logging.getLogger(__name__)

# Computes from the images, the folds, a folder for checkpoints, and what else is submitted.
Function = Callable[..., Any]


class Images(NamedTuple):
    """The training images and their folds, without the images.

    Attributes:
        files: Of the images and of the labels, by absolute paths.
        fold: (n_samples,) uint8, the fold of each image.
    """

    files: tuple[cluster.File, ...]
    fold: np.ndarray


class Cluster:
    """Submits fits of one tuning, and yields their results.

    Args:
        client: The client.
        folder: Of the training images.
        split: The same images and labels.
        fold: (n_samples,) the fold of each image.
    """

    def __init__(self, client: Any, folder: Path, split: Split, fold: np.ndarray) -> None:
        self.client, self.split = client, split
        names = (folder / f"{name}.npy" for name in Split._fields)
        files = tuple(cluster.File.of(path.absolute()) for path in names)
        images = Images(files, fold.astype(np.uint8))
        self.images = cluster.submit(client, _given, images)
        self.sent: Any = None

    def run(self, function: Function, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Run a function on each job; yield each job with its result when it is done.

        Args:
            function: Takes the split, the folds, a folder for checkpoints, and a job.
            jobs: In the order in which they are submitted.
        """
        running = cluster.Running(self.client)
        job_of = {}

        def submit(job: Any) -> None:
            future = cluster.submit(
                self.client, compute, function, self.images, self.sent, job
            )
            job_of[future.key] = job
            running.add(future)

        for job in jobs:
            submit(job)
        for future, outcome in running:
            job = job_of.pop(future.key)
            if isinstance(outcome, cluster.NotSeenError | cluster.StoppedError):
                if isinstance(outcome, cluster.NotSeenError):
                    self.send(outcome)
                submit(job)
                continue
            if isinstance(outcome, Exception):
                raise outcome
            result, messages = outcome
            for message in messages:
                log.warning("%s", message)
            yield job, result

    def send(self, reason: cluster.NotSeenError) -> None:
        """Send the images to the cluster, if they are not there yet."""
        if self.sent is not None:
            return
        log.info("%s: the images are sent", reason)
        with warnings.catch_warnings(action="ignore"):  # Dask's, of their size
            arrays = Split(*map(np.asarray, self.split))
            self.sent = cluster.submit(self.client, _given, arrays)


def run(
    order: Iterable[Task], on: Cluster, fit: Function, store: Store
) -> Iterator[tuple[Task, HeldOut]]:
    """Run the tasks whose results are not in the store; yield each when it is done.

    Args:
        order: The tasks, in the order in which they are submitted.
        on: The cluster, with the images.
        fit: Runs a task.
        store: Where results are kept.

    Yields:
        Each task and its result: first those in the store.
    """
    missing = yield from tasks.stored(order, store)
    for task, result in on.run(fit, missing):
        store.save(task, result)
        yield task, result


def compute(
    function: Function, images: Images, sent: Split | None, job: Any
) -> tuple[Any, Sequence[str]]:
    """Call a function on a worker.

    Args:
        function: Takes the split, the folds, a folder for checkpoints, and the job.
        images: The files of the images, and the folds.
        sent: The images themselves; None if the worker should see the files.
        job: For the function.

    Returns:
        The function's result, and the warnings that it logged.

    Raises:
        cluster.NotSeenError: The worker does not see the files.
    """
    from distributed import get_worker  # noqa: PLC0415 (an extra, imported only if used)

    worker = get_worker()
    if sent is None:
        for file in images.files:
            file.state()
        sent = Split(*(np.load(path, mmap_mode="r") for path, *_ in images.files))
    folder = Path(worker.local_directory) / "unfinished"
    with cluster.ALONE, _warnings() as messages:
        return function(sent, images.fold.astype(np.int64), folder, job), messages


def _given(value: Any) -> Any:
    """Return what is submitted: Dask keeps it, and gives it again when a worker ends."""
    return value


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Yield a list of the warnings that are logged meanwhile."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    loggers = [logging.getLogger(name) for name in ("digits", "stages")]
    handler = Keep(logging.WARNING)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
