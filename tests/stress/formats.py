"""Change small data files of all formats at random, and read them.

    python -m tests.stress.formats                   for 20 seconds
    python -m tests.stress.formats --seconds 300     for five minutes

The files are those of the tables in docs/data.md, as tests/unit/test_formats.py makes them.
Bytes are changed, removed, repeated or moved; the seed is fixed. Each file must be read, or
refused in one message, in a few seconds and with no more memory than is promised: a process
of its own has limits of both. Status 1 if there is any other error.
"""

import argparse
import contextlib
import gzip
import logging
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path
from types import FrameType

from digits.data import readers
from digits.data.files import ALWAYS_ALLOWED
from digits.data.options import Options
from digits.errors import InputError
from tests.unit import test_formats

SLOW = ("load_digits",)  # nothing new, but large
TIME_LIMIT = 10  # seconds for a file
MEMORY_LIMIT = 4 * ALWAYS_ALLOWED  # bytes, in addition to what the libraries take
ROUND = 1000  # files that a process reads, after which another goes on
UNPACKED = 0.7  # of packed files, what is in them is changed
CHANGES = (
    {},
    {},
    {},
    {"size": (8, 8)},
    {"invert": True},
    {"centre": True, "transpose": True},
)


class EndlessError(Exception):
    """A file was not read in time."""


def stop(_signal: int, _frame: FrameType | None) -> None:
    """Raise `EndlessError`."""
    raise EndlessError


def change(content: bytes, rng: random.Random) -> bytes:
    """Return a file's content with a few random changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not data:
            break
        # most of what can go wrong is in the first bytes
        at = rng.randrange(min(len(data), rng.choice((16, 128, 10**9))))
        length = min(rng.choice((1, 4, 30)), len(data) - at)
        match rng.randrange(7):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at : at + length] = bytes([rng.choice((0, 127, 255))]) * length
            case 2:
                data[at] ^= 1 << rng.randrange(8)
            case 3:
                del data[at:]
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
            case 6:
                other = rng.randrange(len(data))
                data[at : at + length] = data[other : other + length]
    return bytes(data)


def change_file(path: Path, rng: random.Random) -> None:
    """Change a file, or what is packed in it, so that the checksums in it are right."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b" and rng.random() < UNPACKED:
        path.write_bytes(gzip.compress(change(gzip.decompress(content), rng)))
    elif content[:4] == b"PK\x03\x04" and rng.random() < UNPACKED:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice([*members])
        members[name] = change(members[name], rng)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, member in members.items():
                archive.writestr(name, member)
    else:
        path.write_bytes(change(content, rng))


def options(path: Path) -> Options:
    """Return the parameters that a folder of data takes."""
    return Options(test_share=0.25 if path.name.endswith("whole") else None)


def read_some(folder: Path, seed: int, end: float, queue: multiprocessing.Queue) -> None:
    """Read changed files until a time, and put what went wrong into the queue."""
    logging.disable()
    warnings.simplefilter("error")
    rng = random.Random(seed)
    kinds: dict[str, list[Path]] = {}
    for path in sorted(
        folder.iterdir()
    ):  # imports what the readers need, before memory is limited
        with contextlib.suppress(InputError):  # some rows need other parameters
            readers.read(path, options=options(path))
        first = min(file for file in path.rglob("*") if file.is_file())
        kinds.setdefault(first.suffix, []).append(path)
    with Path("/proc/self/statm").open() as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_LIMIT,) * 2)
    signal.signal(signal.SIGALRM, stop)
    n_read = n_refused = 0
    mistakes: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "data"
        for turn in range(ROUND):
            if time.monotonic() > end:
                break
            chosen = rng.choice(rng.choice([*kinds.values()]))
            shutil.copytree(chosen, root)
            files = sorted(path for path in root.rglob("*") if path.is_file())
            for path in rng.sample(files, rng.choice((1, 1, min(3, len(files))))):
                change_file(path, rng)
            source = root if rng.random() < 0.7 else rng.choice(files)
            how = options(chosen)._replace(**rng.choice(CHANGES))
            signal.alarm(TIME_LIMIT)
            try:
                readers.read(source, options=how)
                n_read += 1
            except InputError:
                n_refused += 1
            except Exception:  # noqa: BLE001 (all others are mistakes)
                mistakes.append(
                    (f"seed {seed}, turn {turn}: {chosen.name}", traceback.format_exc())
                )
            finally:
                signal.alarm(0)
            shutil.rmtree(root)
    queue.put((n_read, n_refused, mistakes))


def main() -> None:
    """Make the files, change and read them, and print what went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="how long (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the first process (0)")
    arguments = parser.parse_args()
    n_read = n_refused = 0
    mistakes: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (row, (write, _)) in enumerate(test_formats.FORMATS.items()):
            if not any(word in row for word in SLOW):
                whole = row.endswith("no test images")
                path = folder / f"{number:03} {'whole' if whole else 'divided'}"
                path.mkdir()
                write(path)
        end = time.monotonic() + arguments.seconds
        seed = arguments.seed
        context = multiprocessing.get_context("spawn")  # with a memory of its own
        while time.monotonic() < end:
            queue = context.Queue()
            process = context.Process(target=read_some, args=(folder, seed, end, queue))
            process.start()
            while process.is_alive() and queue.empty():
                time.sleep(0.05)
            if queue.empty():
                mistakes.append((f"seed {seed}", f"ended with status {process.exitcode}"))
            else:
                found = queue.get()
                n_read, n_refused = n_read + found[0], n_refused + found[1]
                mistakes += found[2]
            process.join()
            seed += 1
    for where, error in mistakes[:20]:
        print(f"{where}\n{error}")
    print(f"{n_read} files read, {n_refused} refused, {len(mistakes)} mistakes")
    sys.exit(bool(mistakes))


if __name__ == "__main__":
    main()
