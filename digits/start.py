"""Start a program: `stages` and `digits.commands` call this before importing libraries."""

import atexit
import gc
import os
import sys
from types import TracebackType


def _report(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """End without a traceback on Ctrl-C, before `cli.reporting` does so."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(130)  # as a shell reports it
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _report

import shutil  # noqa: E402 (slow to import, as the next ones)

# On a full disk Python can leave a file of byte code truncated, and every later start then
# fails: https://github.com/python/cpython/issues/126606
if shutil.disk_usage(__file__).free < 16 * 2**20:
    sys.dont_write_bytecode = True

# pydantic searches all packages for plugins, which may change what it checks.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"

from digits import memory  # noqa: E402
from digits.errors import InputError  # noqa: E402
from digits.memory import MIB  # noqa: E402


def begin(status: int) -> None:
    """Open the streams that are closed; exit with `status` if memory is too little.

    Search for garbage less often, and not at the end: libraries have some 100,000 objects,
    none of which is garbage.
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)
    open_streams()
    try:
        memory.require(
            "this command", (110 + 40 * memory.threads()) * MIB, libraries=170 * MIB
        )
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(status)


def open_streams() -> None:
    """Open standard streams that are closed, as under some schedulers.

    Otherwise the next opened file gets the number of a stream, and libraries write into it.
    stderr then goes to stdout if that is open.
    """
    has_stdout = sys.stdout is not None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        if name == "stderr" and has_stdout:
            os.dup2(1, number)
        else:  # this is the lowest free number
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 (of os)
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(number, mode, buffering=1, closefd=False))  # noqa: SIM115 (a number, for good)
