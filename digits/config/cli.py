"""What all command lines share: arguments, log, errors, exit status."""

import argparse
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from digits.config import guard, params
from digits.config.params import Params
from digits.errors import InputError

log = logging.getLogger(__name__)


def run(
    main: Callable[..., None],
    description: str | None,
    of: Literal["subset", "variant"] | None = None,
) -> None:
    """Run `main(params, root)`, or `main(params, name, root)` for one `of` its kind.

    `root` is the folder with params.yaml and all results, as `--in` names it. All of
    params.yaml is checked first. A mistake of the user's, or of the machine's such as a
    full disk, is one message on stderr and status 1.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {'.'.join(Path(sys.argv[0]).with_suffix('').parts[-2:])}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if of:
        parser.add_argument(of, help=f"a name under `{of}s` in params.yaml")
    add_root(parser)
    arguments = parser.parse_args()
    root, start = arguments.root, time.perf_counter()
    with reporting(1), naming(root):
        _end_with_parent()
        checked = params.load(root / "params.yaml")
        if of:
            check_name(checked, of, getattr(arguments, of))
        stage = os.environ.get("DVC_STAGE")  # set where DVC will record the result
        with guard.unchanged(checked, stage, root) if stage else nullcontext():
            main(checked, *([getattr(arguments, of)] if of else []), root)
    log.info("done in %.1f s", time.perf_counter() - start)


def add_root(parser: argparse.ArgumentParser) -> None:
    """Let the user name the folder of a pipeline, as `root`."""
    parser.add_argument(
        "--in", type=Path, default=Path(), dest="root", metavar="FOLDER",
        help="where params.yaml and all results are, if not here",
    )  # fmt: skip


@contextmanager
def reporting(status: int) -> Iterator[None]:
    """Log to stderr; end with one message and `status` on what a user can mend."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(capture=True)
    try:
        yield
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as a shell reports it
    except (InputError, OSError) as error:
        log.error("error: %s", error)  # noqa: TRY400 (a message, not a traceback)
        sys.exit(status)
    except MemoryError as error:
        log.error("error: there is too little memory. %s", error)  # noqa: TRY400 (a message)
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports it; what was begun is already removed


@contextmanager
def naming(root: Path) -> Iterator[None]:
    """Name DVC's commands in a message so that they run in the project at `root`."""
    try:
        yield
    except InputError as error:
        if root == Path():
            raise
        command = f"`dvc --cd {root.as_posix()} "
        text = re.sub("`dvc (?=repro|pull)", lambda _: command, str(error))
        raise InputError(text) from error


def _end_with_parent() -> None:
    """End in good order on SIGTERM, and when the parent has gone.

    A killed `dvc repro` leaves its stage running, and the next one would start a second
    beside it.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def check_name(checked: Params, of: Literal["subset", "variant"], name: str) -> None:
    """Raise `InputError` unless params.yaml has a subset or variant of that name."""
    known = checked.subsets if of == "subset" else checked.variants
    if name not in known:
        raise InputError(
            f"params.yaml has no {of} {name!r}; it has {', '.join(sorted(known))}"
        )
