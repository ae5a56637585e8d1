"""Check that there is enough memory before work begins.

Running out of memory later can be worse than an error. OpenBLAS up to 0.3.30, which comes
with SciPy, requests memory for its buffers in an endless loop and handles no signal
(https://github.com/OpenMathLib/OpenBLAS/issues/5289); TensorFlow aborts.
"""

import mmap
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from digits.errors import InputError

MIB = 2**20
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def require(what: str, data: int, libraries: int = 0) -> None:
    """Check that the process can allocate so much more memory.

    Args:
        what: The name of what needs it, for the message.
        data: Bytes that are written to.
        libraries: Bytes of files that are only mapped.

    Raises:
        InputError: If it cannot; the message names the limits.
    """
    there = _physical()
    if (
        min(there.values(), default=data) >= data
        and _maps(data, mmap.PROT_READ | mmap.PROT_WRITE)
        and _maps(data + libraries, mmap.PROT_READ)
    ):
        return
    for name, of in (
        ("`ulimit -v`", resource.RLIMIT_AS),
        ("`ulimit -d`", resource.RLIMIT_DATA),
    ):
        if (limit := resource.getrlimit(of)[0]) != resource.RLIM_INFINITY:
            there[name] = limit
    said = ", ".join(f"{name}: {n_bytes // MIB:,} MiB" for name, n_bytes in there.items())
    raise InputError(
        f"{what} needs {(data + libraries) // MIB:,} MiB more memory "
        f"({data // MIB:,} MiB of it for data). Reduce the request, or raise the limit "
        f"that is too low: {said}"
    )


def threads() -> int:
    """Return the number of threads that each copy of OpenBLAS starts when loaded."""
    there = min(len(os.sched_getaffinity(0)), 64) if hasattr(os, "sched_getaffinity") else 8
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        with suppress(ValueError):
            if (wanted := int(os.environ.get(name, ""))) > 0:
                return min(wanted, there)
    return there


def _maps(n_bytes: int, access: int) -> bool:
    """Return whether the process may map so many bytes; no page is touched."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        mmap.mmap(-1, n_bytes, flags=flags, prot=access).close()
    except (OSError, OverflowError):
        return False
    return True


def _physical() -> dict[str, int]:
    """Return the available memory in bytes, where the system reports it."""
    found = {}
    with suppress(OSError, ValueError, KeyError):
        lines = (PROC / "meminfo").read_text().splitlines()
        known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        found["free"] = known["MemAvailable"] + known["SwapFree"]
        limits = [limit for limit in _of_cgroups() if limit < known["MemTotal"]]
        if limits:
            found["cgroup"] = min(limits)
    return found


def _of_cgroups() -> Iterator[int]:
    """Yield the memory limits of the process's control groups, of both versions."""
    for line in (PROC / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        own = (CGROUPS / controllers) / path.lstrip("/")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        for folder in (own, *own.parents):
            with suppress(OSError, ValueError):  # no limit, or "max"
                yield int((folder / name).read_text())
