"""How much memory there is, to say so before work begins that needs more."""

import os
import resource
from pathlib import Path

from digits.errors import InputError

CGROUP = Path("/sys/fs/cgroup/memory.max")  # a container's limit, on Linux
GIBIBYTE = 2**30


def there_is() -> int:
    """Return the bytes that this process may take: the machine's, or less by a limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if (most := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        limits.append(most)
    if CGROUP.is_file() and (text := CGROUP.read_text().strip()).isdecimal():
        limits.append(int(text))
    return min(limits)


def refuse_more(needed: int, what: str) -> None:
    """Raise `InputError` if more bytes are needed than there are.

    what: the parameter, its value, and what of the data it goes with
    """
    if needed > (most := there_is()):
        raise InputError(
            f"{what} would take {needed / GIBIBYTE:,.1f} GiB of memory; there are "
            f"{most / GIBIBYTE:,.1f}. Ask for fewer"
        )
