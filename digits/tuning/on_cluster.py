"""The fits of a tuning on the workers of a Dask cluster.

A worker memory-maps the training images if it finds their files (`worker_files`). Otherwise
they are sent to it, once. A task has the parameters and a fold, its result is
scores, and the client keeps those in the store.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits import cluster, worker_files
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

    files: tuple[worker_files.File, ...]
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
        self.files = tuple(worker_files.File.of(path.absolute()) for path in names)
        images = Images(self.files, fold.astype(np.uint8))
        self.images = cluster.submit(client, _given, images)
        self.stored = False
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
            job_of[future.key] = job, self.stored
            running.add(future)

        for job in jobs:
            submit(job)
        for future, outcome in running:
            job, was_stored = job_of.pop(future.key)
            if isinstance(outcome, worker_files.NotSeenError | cluster.StoppedError):
                if isinstance(outcome, worker_files.NotSeenError):
                    self.give(outcome, was_stored=was_stored)
                submit(job)
                continue
            if isinstance(outcome, Exception):
                raise outcome
            result, messages = outcome
            for message in messages:
                log.warning("%s", message)
            yield job, result

    def give(self, reason: worker_files.NotSeenError, *, was_stored: bool) -> None:
        """Put the images into the storage; if that is not possible or no help, send them.

        Args:
            reason: What a worker said.
            was_stored: Whether they were in the storage before it looked.
        """
        if self.stored and not was_stored:
            return
        put = [file.put() for file in self.files]
        self.stored = any(put)
        if not self.stored:
            self.send(reason)

    def send(self, reason: worker_files.NotSeenError) -> None:
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
        worker_files.NotSeenError: The worker does not find the files.
    """
    from distributed import get_worker  # noqa: PLC0415 (an extra, imported only if used)

    worker = get_worker()
    if sent is None:
        paths = [file.copy().path for file in images.files]
        sent = Split(*(np.load(path, mmap_mode="r") for path in paths))
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
