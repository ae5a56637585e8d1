"""The Dask cluster that a stage may use: connect to its scheduler, check its workers.

Nothing of Dask is imported unless a scheduler is named. Where a stage ran is no parameter
and no part of a result: a task gives the same bytes on every worker whose code and
libraries are those of the client, and the checks here refuse other workers.
"""

import asyncio
import ctypes
import hashlib
import ipaddress
import json
import logging
import math
import os
import re
import socket
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from digits import worker_files
from digits.config import fingerprint
from digits.data import regular
from digits.errors import InputError

Client: TypeAlias = Any  # distributed.Client
Future: TypeAlias = Any  # distributed.Future

log = logging.getLogger(__name__)

VARIABLE = "DIGITS_SCHEDULER"
CONNECT = 10.0  # seconds to reach the scheduler
WORKERS = 60.0  # seconds to wait for a worker: at the start, and when none is left
ANSWER = 20.0  # seconds in which the scheduler or a worker must answer
RESULT = 60.0  # seconds in which a result must arrive, before workers are counted again
PAUSE = 0.5  # seconds between two checks
DIRECT = 2.0  # seconds in which workers must answer this process, or the scheduler is asked
UNREACHED = 900.0  # seconds in which a worker that sends heartbeats must be reached again
CLOSE = 3.0  # seconds to say goodbye to the scheduler
SAME_SETUP = (
    "set up the same environment there, at the same commit (`make setup EXTRAS=cluster`), "
    "and start it again"
)
# What computes in a worker: each sets the threads of BLAS, for all of the process.
ALONE = threading.Lock()
# What carries tasks: with other versions, a message may not be understood.
TRANSPORT = ("dask", "distributed", "msgpack", "cloudpickle", "tornado")


def named(scheduler: str | None) -> str:
    """Return the address of a scheduler; empty if none is named.

    Args:
        scheduler: An address, or the path of a scheduler file; None: what the environment
            variable says.

    Raises:
        InputError: It is neither.
    """
    given = os.environ.get(VARIABLE, "") if scheduler is None else scheduler
    given = given.strip()
    if not given:
        return ""
    where = f"--scheduler {given}" if scheduler else f"{VARIABLE}={given}"
    if "://" in given:
        if re.fullmatch(r"(tcp|tls)://[^/\s]+:\d+/?", given):
            return given.rstrip("/")
        raise InputError(
            f"{where}: is not the address of a scheduler; an address is "
            "tcp://HOST:PORT or tls://HOST:PORT"
        )
    path = Path(given).absolute()
    try:
        address = json.loads(regular.text(path))["address"]
    except FileNotFoundError as error:
        raise InputError(
            f"{where}: there is no scheduler file {path}; an address starts with tcp:// "
            "or tls://"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not a scheduler file ({error!r})") from error
    if "://" not in str(address):
        raise InputError(f"{path}: {address!r} is not the address of a scheduler")
    return named(str(address))


@dataclass
class _Session:
    """A scheduler that may be used, and its client once something has used it."""

    address: str
    closing: ExitStack
    client: Client | None = None


_sessions: list[_Session] = []


@contextmanager
def use(scheduler: str | None) -> Iterator[None]:
    """Let `current` connect to a scheduler, and close that connection at the end.

    Args:
        scheduler: As for `named`; without one, `current` returns None.

    Raises:
        InputError: It is neither an address nor a scheduler file.
    """
    with ExitStack() as closing:
        _sessions.append(_Session(named(scheduler), closing))
        closing.callback(_sessions.pop)
        yield


def current() -> Client | None:
    """Return the client of this process; None if no scheduler is named.

    The first call connects, so a model that uses no cluster needs none.

    Raises:
        InputError: As for `connect`.
    """
    if not _sessions:
        return None
    session = _sessions[-1]
    if session.client is None and session.address:
        session.client = session.closing.enter_context(_connected(session.address))
    return session.client


@contextmanager
def connect(scheduler: str | None = None) -> Iterator[Client | None]:
    """Yield a client whose workers are checked; None if no scheduler is named.

    At the end, also on an error and on Ctrl-C, the client is closed. The scheduler then
    drops its tasks, and those that run are stopped: see `submit`.

    Args:
        scheduler: As for `named`.

    Raises:
        InputError: There is no scheduler, no worker, or a worker with other code or
            libraries. All checks have a time limit.
    """
    with use(scheduler):
        yield current()


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    worker_files.storage()  # a wrong one is an error now, not when it is needed
    client = _open(address)
    try:
        info = ask(client, client.scheduler.identity)
        _warn_without_encryption(address, info["address"])
        _wait_for_workers(client, address)
        check(client)
        n_workers = len(ask(client, client.nthreads))
        has_dashboard = "dashboard" in info.get("services", {})
        where = f", dashboard: {client.dashboard_link}" if has_dashboard else ""
        log.info("%s: workers: %d%s", address, n_workers, where)
        yield client
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=CLOSE)


def _open(address: str) -> Client:
    try:
        from distributed import Client  # noqa: PLC0415 (an extra, imported only if used)
    except ImportError as error:
        raise InputError(
            f"the scheduler {address} needs Dask, which cannot be imported ({error}): "
            "`make setup EXTRAS=cluster`"
        ) from error
    # It would print tracebacks of lost connections, which become one message here.
    for name in [*logging.root.manager.loggerDict]:
        if name.startswith(("asyncio", "distributed", "tornado")):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):  # of versions: see `check`
            asyncio.run(_identify(address))
            return Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(_unreachable(address, error)) from error


async def _identify(address: str) -> None:
    """Ask for the identity: a client waits for ever for what is no scheduler but answers.

    Raises:
        ValueError: It is not a scheduler.
        OSError: It does not answer.
    """
    from distributed import Security  # noqa: PLC0415 (an extra, imported only if used)
    from distributed.core import rpc  # noqa: PLC0415

    arguments = Security().get_connection_args("client")
    asked = rpc(address, timeout=CONNECT, connection_args=arguments)
    try:
        identity = await asyncio.wait_for(asked.identity(), CONNECT + PAUSE)
    finally:
        await asked.close_rpc()
    if identity["type"] != "Scheduler":
        raise ValueError(f"it is a {identity['type']}")


def _unreachable(address: str, error: Exception) -> str:
    said = " ".join(str(error).split()) or "it does not answer as a scheduler does"
    said = f"{address}: there is no scheduler that can be used ({said})"
    if address.startswith("tls://"):
        return (
            f"{said}. With TLS, distributed.comm.tls in Dask's configuration must name "
            "the certificates, also on this machine: docs/cluster.md, Security"
        )
    return (
        f"{said}. Start one, for example `dask scheduler`, or correct the address; that of "
        "a scheduler with TLS starts with tls://"
    )


def _warn_without_encryption(*addresses: str) -> None:
    """Warn of a scheduler without TLS that other machines can reach."""
    for address in addresses:
        if address.startswith("tcp://") and not _is_loopback(address):
            log.warning(
                "%s: the connection is not encrypted, and everyone who reaches this "
                "address can run programs on the cluster. Use TLS: docs/cluster.md, "
                "Security",
                address,
            )
            return


def _is_loopback(address: str) -> bool:
    """Return whether only this machine can reach an address."""
    host = address.partition("://")[2].rpartition(":")[0].strip("[]")
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(ip.partition("%")[0]).is_loopback for ip in found)


def ask(client: Client, method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of the client, and wait for the answer for a limited time.

    Raises:
        InputError: The scheduler does not answer.
    """

    async def bounded() -> Any:
        return await asyncio.wait_for(method(*arguments), ANSWER)

    try:
        return client.sync(bounded)
    except (OSError, TimeoutError, CancelledError, AttributeError) as error:
        raise gone(client) from error


def reaches(client: Client, workers: Iterable[str]) -> bool:
    """Return whether this process reaches all workers directly, which is faster.

    Through a tunnel, often only the scheduler is reached.

    Args:
        client: The client.
        workers: Their addresses.
    """

    async def identify() -> None:
        answers = (client.rpc(worker).identity() for worker in workers)
        await asyncio.wait_for(asyncio.gather(*answers), DIRECT)

    try:
        client.sync(identify)
    except (OSError, ValueError, TimeoutError, CancelledError):
        return False
    return True


def gone(client: Client) -> InputError:
    """Return the error for a scheduler that went away."""
    return InputError(
        f"{_address_of(client)}: the scheduler has ended, or does not answer. Start it and "
        "its workers, and run this again"
    )


def _address_of(client: Client) -> str:
    """Return the address that was named, also of a closed client."""
    return str(client._start_arg)  # noqa: SLF001 (there is no other way)


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS)
    except TimeoutError as error:
        raise InputError(_no_worker(address)) from error
    except (OSError, CancelledError) as error:
        raise gone(client) from error


def _no_worker(address: str) -> str:
    return (
        f"{address}: the scheduler has had no worker for {WORKERS:.0f} s. Start one, for "
        f"example `dask worker {address}`; one whose memory is nearly full does not count"
    )


@cache
def installed() -> dict[str, str]:
    """Return the hash of the code, and the versions of Python and of the libraries.

    A worker keeps what it found first, when it had loaded the code.
    """
    return fingerprint.everything()


@cache
def state() -> str:
    """Return a hash of `installed`."""
    return hashlib.sha256(json.dumps(installed()).encode()).hexdigest()


def _answer_of_worker(dask_worker: Any) -> tuple[dict[str, str], str]:
    """Return what this worker has loaded, and the hash of the code that is there now.

    Args:
        dask_worker: The worker, which `Client.run` gives to an argument of this name.
    """
    _never_pause(dask_worker)
    fingerprint.forget()
    return installed(), fingerprint.everything()["digits"]


def _never_pause(dask_worker: Any) -> None:
    """Let a worker start tasks until its memory is full, when its nanny restarts it.

    Dask's worker pauses at 80 % of its memory limit. Memory that libraries keep does not
    shrink, and Dask gives tasks that wait there to nobody else, so they would never end.

    Args:
        dask_worker: The worker, which `Client.run` gives to an argument of this name.
    """
    dask_worker.memory_manager.memory_pause_fraction = math.inf


def _resume_workers(client: Client) -> int:
    """Return the number of workers; let those that paused before their first task start."""
    workers = ask(client, client.scheduler.identity)["workers"]
    paused = [name for name, worker in workers.items() if worker["status"] == "paused"]

    async def resume() -> None:
        asked = client.run(_never_pause, workers=paused, on_error="ignore")
        with suppress(TimeoutError):  # one that is slow is asked again
            await asyncio.wait_for(asked, PAUSE)

    if paused:
        ask(client, resume)
    return len(workers)


def check(client: Client) -> None:
    """Check that all workers have the code and the libraries of this process.

    Raises:
        InputError: It names the worker, what differs, and what to do.
    """

    async def ask_all() -> tuple[dict[str, Any], dict[str, Any]]:
        versions: dict[str, Any] = {}
        with suppress(TimeoutError):  # who does not answer is found below
            versions = await asyncio.wait_for(client.get_versions(), ANSWER)
        workers = await asyncio.wait_for(client.nthreads(), ANSWER)

        async def ask(worker: str) -> Any:
            asked = client.run(_answer_of_worker, workers=[worker], on_error="return")
            try:
                return (await asyncio.wait_for(asked, ANSWER)).get(worker)
            except TimeoutError:
                return "silent"

        answers = await asyncio.gather(*map(ask, workers))
        return versions, dict(zip(workers, answers, strict=True))

    try:
        versions, answers = client.sync(ask_all)
    except (OSError, TimeoutError, CancelledError) as error:
        raise gone(client) from error
    _compare_versions(versions)
    for worker, answer in answers.items():
        if problem := _problem(answer):
            raise InputError(f"worker {worker}: {problem}")
    silent = [worker for worker, answer in answers.items() if isinstance(answer, str)]
    if silent:
        said = (
            f"worker {silent[0]}: does not answer within {ANSWER:.0f} s. End it, or wait "
            "until the scheduler gives it up (worker-ttl)"
        )
        if len(silent) == len(answers):
            ask(client, client.nthreads)  # is it the scheduler that is silent?
            raise InputError(said)
        log.warning("%s. Others run its tasks then", said)


def _compare_versions(versions: dict[str, Any]) -> None:
    """Raise `InputError` if Dask differs; `versions` is what `Client.get_versions` says."""
    if not versions:  # somebody did not answer
        return
    ours = versions["client"]["packages"]
    packages = {
        f"worker {worker}": found["packages"]
        for worker, found in versions["workers"].items()
    }
    scheduler = versions["scheduler"]["packages"]
    packages["the scheduler"] = ours | {name: scheduler.get(name) for name in TRANSPORT[:2]}
    for who, theirs in packages.items():
        for name in TRANSPORT:
            if theirs.get(name) != ours[name]:
                raise InputError(
                    f"{who}: has {name} {theirs.get(name)}, and this machine {ours[name]}; "
                    f"{SAME_SETUP}"
                )


def _problem(answer: Any) -> str:
    """Return what is wrong with a worker's answer, and what to do; empty if nothing."""
    match answer:
        case None | OSError() | str():  # it has ended, or is silent
            return ""
        case Exception():  # Dask wraps what is raised when a function is not there
            said = f"lacks the package digits, or has another version ({answer!r})"
        case loaded, now:
            ours = installed()
            other = next((n for n in ours if loaded.get(n) != ours[n]), None)
            if other is None:
                return ""
            if other == "digits" and now == ours[other]:
                return "has loaded another version of the code of digits; start it again"
            said = f"has {other} {loaded.get(other)}, and this machine {ours[other]}"
            if other == "digits":
                said = "has another version of the code of digits"
    return f"{said}; {SAME_SETUP}"


class StoppedError(Exception):
    """This task was cancelled while it ran; submit it again if its result is wanted."""


class OtherCodeError(StoppedError):
    """This worker has other code or libraries than the client."""


class _Stop(BaseException):
    """Raised in a task that is cancelled."""


def submit(
    client: Client,
    function: Callable[..., Any],
    *arguments: Any,
    workers: Sequence[str] = (),
    actor: bool = False,
) -> Future:
    """Submit a task, which is stopped when its future is cancelled or the client ends.

    The worker refuses it unless it has the code of this process: it may have joined after
    `check`. `Running` turns that into a message.

    Args:
        client: The client.
        function: A function of a module, not of `__main__`, whose code would be sent.
        arguments: For the function; futures stand for their results.
        workers: Addresses of the workers that may run it while one of them is there; none:
            all.
        actor: Whether the result stays on its worker, as a Dask actor.
    """
    assert function.__module__ != "__main__", function  # noqa: S101 (a mistake of ours)
    name = f"{function.__module__}.{function.__qualname__}"
    where = {"workers": workers, "allow_other_workers": True} if workers else {}
    future: Future = client.submit(
        _run,
        state(),
        function,
        *arguments,
        pure=False,
        key=f"{name}-{os.urandom(8).hex()}",
        actor=actor,
        **where,
    )
    return future


def _run(expected: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a task on a worker."""
    if expected != state():
        raise OtherCodeError
    from distributed import get_worker  # noqa: PLC0415 (an extra, imported only if used)

    worker = get_worker()
    _never_pause(worker)
    with explained(worker), stoppable(worker, worker.get_current_task()):
        return function(*arguments)


@contextmanager
def explained(worker: Any) -> Iterator[None]:
    """Raise what a client can show instead of what a function raises on a worker.

    Args:
        worker: The worker.

    Raises:
        StoppedError: `stoppable` has stopped the function.
        InputError: An error of the machine, which is named.
    """
    try:
        yield
    except _Stop:
        raise StoppedError from None
    except InputError as error:
        cause: BaseException | None = error
        while isinstance(cause, InputError):
            cause = cause.__cause__
        if isinstance(cause, OSError):  # of this machine
            raise InputError(f"worker {worker.address}: {error}") from error
        raise
    except (OSError, MemoryError) as error:
        said = str(error) or "not enough memory"
        raise InputError(f"worker {worker.address}: {said}") from error


@contextmanager
def stoppable(worker: Any, key: Any) -> Iterator[None]:
    """Raise `_Stop` in this thread when a task is cancelled or an actor is released.

    Dask only forgets a cancelled task that runs. A thread can be stopped in Python code, so
    the exception comes after a call of a library has returned.

    Args:
        worker: The worker.
        key: Of the task or the actor.
    """
    thread = threading.get_ident()
    ended, lock = threading.Event(), threading.Lock()
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def watch() -> None:
        while not ended.wait(PAUSE):
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled":
                with lock:
                    if not ended.is_set():
                        raise_in(ctypes.c_ulong(thread), ctypes.py_object(_Stop))
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with lock:
            ended.set()
            raise_in(ctypes.c_ulong(thread), None)  # it may be on its way


class _Watch:
    """Looks whether there are workers, while a client waits.

    Args:
        client: The client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._without = 0.0  # seconds that there has been no worker

    def look(self) -> None:
        """Count workers, each `PAUSE` seconds.

        Raises:
            InputError: The scheduler is gone, or no worker has been left for a minute.
        """
        self._without = 0.0 if _resume_workers(self._client) else self._without + PAUSE
        if self._without >= WORKERS:
            raise InputError(_no_worker(_address_of(self._client)))


class Running:
    """Futures of `submit`; iterate to get each when it ends.

    Args:
        client: Their client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ended: SimpleQueue[Future] = SimpleQueue()
        self._n_waiting = 0
        self._watch = _Watch(client)

    def add(self, future: Future) -> None:
        """Add a future, also while others are yielded."""
        future.add_done_callback(self._ended.put)
        self._n_waiting += 1

    def __iter__(self) -> Iterator[tuple[Future, Any]]:
        """Yield each future that has ended, with its result, or what its function raised.

        Raises:
            InputError: The scheduler is gone; no worker has been left for a minute; a task
                has lost several workers; or a worker has joined that has other code.
        """
        while self._n_waiting:
            try:
                future = self._ended.get(timeout=PAUSE)
            except Empty:
                self._watch.look()
                continue
            try:
                outcome = _outcome(self._client, future)
            except TimeoutError:  # its worker has just ended: it is computed again
                future.add_done_callback(self._ended.put)
                continue
            self._n_waiting -= 1
            yield future, outcome


def _outcome(client: Client, future: Future) -> Any:
    """Return the result of a future that has ended, or the exception of its function."""
    try:
        return future.result(timeout=RESULT)
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001 (of the function; the caller raises it)
        return _of_function(client, error)


def complete(client: Client, work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in the event loop of the client; return its result.

    Returns:
        What the coroutine returns, or an `OtherCodeError` of a worker that has left.

    Raises:
        InputError: As for `Running`.
        Exception: What a function on a worker raises.
    """
    watch = _Watch(client)
    running = asyncio.run_coroutine_threadsafe(work, client.loop.asyncio_loop)
    try:
        while True:
            try:
                return running.result(PAUSE)
            except TimeoutError:
                watch.look()
            except Exception as raised:  # noqa: BLE001 (of the function)
                error = _of_function(client, raised)
                if isinstance(error, OtherCodeError):
                    return error
                raise error from None
    finally:
        running.cancel()


def _of_function(client: Client, error: Exception) -> Exception:
    """Return an exception of a function on a worker.

    Raises:
        InputError: The exception means that something happened to the cluster.
    """
    from distributed.scheduler import KilledWorker  # noqa: PLC0415 (an extra)

    if isinstance(error, CancelledError | OSError):  # those of a function are `InputError`
        raise gone(client) from error
    if isinstance(error, KilledWorker):
        raise killed(error.allowed_failures + 1, error.last_worker.address) from error
    if isinstance(error, OtherCodeError) or type(error) is Exception:
        check(client)  # names the worker, unless it has left
    return error


def killed(n_lost: int, last: str) -> InputError:
    """Return the error for a task that has lost several workers.

    Args:
        n_lost: How many.
        last: The address of the last one.
    """
    return InputError(
        f"{n_lost} workers ended while they computed the same task (the last was {last}), "
        "as when memory is short there. What is done is kept; give the workers more "
        "memory, and run this again"
    )


def unreached(worker: str) -> InputError:
    """Return the error for a worker that is alive, but that cannot be connected to.

    Args:
        worker: Its address.
    """
    return InputError(
        f"{worker}: the scheduler hears from this worker, but has not reached it for "
        f"{UNREACHED:.0f} s. End it, or let the network pass connections to this address, "
        "and run this again"
    )
