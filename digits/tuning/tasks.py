"""The fits of a tuning: independent tasks, and a store of what is done.

A task is a fit of one block `train` without one fold, and gives the scores of the images
in that fold. All else follows from the scores. The fits run in a process on this machine,
or on a Dask cluster (`on_cluster`).
"""

import hashlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children, connection, get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.data import files
from digits.errors import InputError
from digits.models.decision import RULES, Decision

log = logging.getLogger(__name__)

NOTHING = np.empty(0)


class Task(NamedTuple):
    """A fit.

    Attributes:
        train: The block `train` of the variant, as JSON.
        fold: The fold that is held out; None: each in turn, by a fit that does them all.
    """

    train: str
    fold: int | None


class HeldOut(NamedTuple):
    """What a fit gives.

    Attributes:
        scores: (n_held_out, n_outputs) of the images of the fold, in their order.
        rule: The name of the rule by which scores become a class.
        state: From which a path goes on after a fit; empty if there is no path.
    """

    scores: np.ndarray
    rule: str
    state: np.ndarray = NOTHING

    @property
    def decision(self) -> Decision:
        """The rule itself."""
        return RULES[self.rule]


@dataclass(frozen=True)
class Store:
    """A folder of what is done, which stays when the stage is killed.

    Attributes:
        folder: It need not exist.
        inputs: A hash of all that scores depend on, except for the task.
    """

    folder: Path
    inputs: str

    def key(self, task: Task) -> str:
        """Return the hash of all that the scores of a task depend on."""
        text = f"{self.inputs} {task.train} {task.fold}"
        return hashlib.sha256(text.encode()).hexdigest()

    def path(self, task: Task) -> Path:
        """Return where a task keeps its scores."""
        return self.folder / f"{self.key(task)[:32]}.npz"

    def load(self, task: Task) -> HeldOut | None:
        """Return the result of a task, None if it is missing or damaged."""
        path = self.path(task)
        try:
            found = files.read_npz(path, ("key", *HeldOut._fields))
            result = HeldOut(found["scores"], str(found["rule"]), found["state"])
            complete = str(found["key"]) == self.key(task) and result.decision
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as error:
            log.warning("%s cannot be read (%s): computing it again", path, error)
            return None
        return result if complete else None

    def save(self, task: Task, result: HeldOut) -> None:
        """Write the result of a task, completely or not at all."""
        files.write_npz(self.path(task), key=self.key(task), **result._asdict())


def remove(folder: Path) -> None:
    """Delete the folder of a store, and the one above if it is empty."""
    files.remove(folder)
    with suppress(OSError):  # other tunings are unfinished, or nothing was kept
        folder.parent.rmdir()


def stored(
    tasks: Iterable[Task], store: Store
) -> Generator[tuple[Task, HeldOut], None, list[Task]]:
    """Yield the tasks whose results are in the store; return the others."""
    found = {task: store.load(task) for task in tasks}
    missing = [task for task, result in found.items() if result is None]
    if len(missing) < len(found):
        log.info("%d of %d fits were done before", len(found) - len(missing), len(found))
    for task, result in found.items():
        if result:
            yield task, result
    return missing


def run(
    tasks: Iterable[Task],
    fit: Callable[[Task], HeldOut],
    store: Store,
    executor: Executor,
) -> Iterator[tuple[Task, HeldOut]]:
    """Run the tasks whose results are not in the store; yield each when it is done.

    Args:
        tasks: In the order in which they are submitted.
        fit: Runs a task; the executor may pickle it.
        store: Where results are kept.
        executor: Runs tasks in parallel.

    Yields:
        Each task and its result: first those in the store.
    """
    missing = yield from stored(tasks, store)
    futures = {executor.submit(fit, task): task for task in missing}
    try:
        for future in as_completed(futures):
            result = future.result()
            store.save(futures[future], result)
            yield futures[future], result
    except BrokenExecutor as error:
        raise InputError(
            "a process was killed while it fitted a model, as when memory is short; what "
            "is done is kept, so run it again"
        ) from error


@contextmanager
def processes(number: int) -> Iterator[Executor]:
    """Yield an executor of new processes, which end with this one.

    Args:
        number: How many run at the same time.

    Yields:
        The executor. After an error no fit is completed.
    """
    others = active_children()
    with ProcessPoolExecutor(number, get_context("spawn"), _begin) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                if process not in others:
                    process.kill()
            raise


def _begin() -> None:
    """Prepare a process for tasks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent
    parent = parent_process()
    if parent:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # the parent's progress bar
    logging.basicConfig(level=logging.WARNING, format=f"{clear}%(message)s")
    logging.captureWarnings(capture=True)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # fits of other sizes are meant
    # The only progress bar is that of the parent; the log keeps the real stderr.
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (for good)


def _end_with(sentinel: int) -> None:
    """End this process when another one has ended, however it ends."""
    connection.wait([sentinel])
    os._exit(1)
