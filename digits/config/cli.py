"""Shared by all command lines: arguments, log, errors, exit status."""

import argparse
import errno
import json
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from digits.errors import InputError, printable

if TYPE_CHECKING:
    from digits.config.blocks import Block
    from digits.config.params import Params

log = logging.getLogger(__name__)

Kind = Literal["subset", "variant", "tuning"]
BLOCKS: dict[Kind, str] = {"subset": "subsets", "variant": "variants", "tuning": "tuning"}
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class _Printable(logging.Formatter):
    """Escapes control characters, so that no name in a message controls the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


class _AboveBars(logging.StreamHandler[Any]):
    """Writes above the progress bars, if there are any."""

    def emit(self, record: logging.LogRecord) -> None:
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
        with bars.external_write_mode(self.stream) if bars else nullcontext():
            super().emit(record)


def run(
    main: Callable[..., None],
    description: str | None,
    of: Kind | None = None,
    uses: Sequence[str] = (),
    *,
    on_cluster: bool = False,
) -> None:
    """Run `main(params, root)`, or `main(params, name, root)` for a subset or variant.

    All of params.yaml is checked first. A user's mistake, or a fault of the machine such as
    a full disk, gives one message on stderr and status 1.

    Args:
        main: The stage. `root` is the folder with params.yaml and all results (`--in`).
        description: For `--help`.
        of: What the stage runs for, if it takes a name.
        uses: The blocks of the parameters, or of the subset or variant, that the stage
            depends on in dvc.yaml; empty: the whole file.
        on_cluster: Whether it can work on a Dask cluster, by `cluster.current`.
    """
    from digits import cluster, process  # noqa: PLC0415 (slow to import, as the next two)
    from digits.config import guard, params  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog=f"python -m {'.'.join(Path(sys.argv[0]).with_suffix('').parts[-2:])}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if of:
        parser.add_argument(of, help=f"a name under `{BLOCKS[of]}` in params.yaml")
    add_root(parser)
    if on_cluster:
        add_scheduler(parser)
    arguments = parser.parse_args()
    root, start = arguments.root, time.perf_counter()
    with reporting(1), commands_act_on(root):
        inputs = process.end_with_dvc(root)
        checked = params.load(root / "params.yaml")
        names = [getattr(arguments, of)] if of else []
        if of:
            check_name(checked, of, *names)
        stage = os.environ.get("DVC_STAGE")  # set where DVC will record the result
        if stage and of == "tuning":
            _refuse_old_tuning(root, checked.tuning_block(*names), *names)

        def used(now: "Params") -> str | None:
            block: Block | None = getattr(now, BLOCKS[of]).get(*names) if of else now
            if block and of == "tuning":
                return json.dumps(now.tuning_block(*names))
            return block.model_dump_json(include=set(uses) or None) if block else None

        if of or uses:  # otherwise every byte of the file counts
            inputs = [path for path in inputs if path.suffix != ".yaml"]
        if stage:
            _refuse_links(root)
        with (
            guard.unchanged(checked, stage, inputs, used, root) if stage else nullcontext(),
            cluster.use(arguments.scheduler) if on_cluster else nullcontext(),
        ):
            main(checked, *names, root)
    log.info("done in %.1f s", time.perf_counter() - start)


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add the option `--in FOLDER`, for the folder of a pipeline."""
    folder = parser.add_argument(
        "--in", type=Path, default=Path(), dest="root", metavar="FOLDER",
        help="the folder with params.yaml and all results (default: here)",
    )  # fmt: skip
    complete_with(folder, "DIRECTORY")


def check_output(path: Path, *, force: bool) -> None:
    """Check that a command may write a file where the user asked for it.

    Args:
        path: The file.
        force: Whether a file that exists may be replaced; a folder never may.

    Raises:
        InputError: It may not.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give another --output")
    if path.exists() and not force:
        raise InputError(f"{path}: exists; --force replaces it")


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """Add the option `--scheduler ADDRESS|FILE`, for a Dask cluster."""
    scheduler = parser.add_argument(
        "--scheduler", metavar="ADDRESS|FILE",
        help="work on the Dask cluster with this scheduler: tcp://HOST:PORT, "
        "tls://HOST:PORT or the path of a scheduler file (default: $DIGITS_SCHEDULER; if "
        "empty, on this machine). Workers that do not see the images fetch them from "
        "$DIGITS_STORAGE, a URL such as s3://BUCKET/FOLDER, if it is set",
    )  # fmt: skip
    complete_with(scheduler, "FILE")


def complete_with(argument: argparse.Action, kind: Literal["FILE", "DIRECTORY"]) -> None:
    """Let the shell complete an argument, if `digits completion` has imported shtab."""
    if shtab := sys.modules.get("shtab"):
        argument.complete = getattr(shtab, kind)  # type: ignore[attr-defined]


@contextmanager
def reporting(status: int) -> Iterator[None]:
    """Log to stderr; end with one message and `status` after an error of the user."""
    handler = _AboveBars(sys.stderr)
    handler.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)
    logging.getLogger("dvc").propagate = False  # it has handlers of its own
    try:
        yield
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as a shell reports it
    except InputError as error:
        log.error("error: %s", error)  # noqa: TRY400 (a message, not a traceback)
        sys.exit(status)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        whose = "; run it as a user with permission to read and write there"
        log.error(  # noqa: TRY400 (as above)
            "error: %s%s%s",
            where,
            error.strerror or error,
            whose if error.errno in DENIED else "",
        )
        sys.exit(status)
    except MemoryError as error:
        log.error("error: not enough memory. %s", error)  # noqa: TRY400 (a message)
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports it; temporary files are already removed


@contextmanager
def commands_act_on(root: Path) -> Iterator[None]:
    """Make the commands in error messages act on the project at `root`."""
    try:
        yield
    except InputError as error:
        raise InputError(commands_for(root, str(error))) from error


def commands_for(root: Path, text: str) -> str:
    """Return a message whose commands act on the project at `root`.

    Commands are what is in backticks. `dvc` gets the option `--cd`, unless it has it, and
    `digits verify` and the like get `--in`; `digits unlock` repairs all projects at once.
    """
    if root == Path():
        return text
    folder = shlex.quote(root.as_posix())
    text = re.sub(r"`dvc (?!--cd )", lambda _: f"`dvc --cd {folder} ", text)
    with_option = r"`(digits (?:compare|export|predict|remove|tune|verify)\b[^`]*)`"
    return re.sub(with_option, lambda found: f"`{found[1]} --in {folder}`", text)


def _refuse_old_tuning(root: Path, block: dict[str, Any], name: str) -> None:
    """Raise `InputError` unless DVC records this block: it reads tuning/stages.yaml."""
    from digits import pipeline  # noqa: PLC0415 (slow to import)

    path = root / pipeline.TUNINGS
    if (pipeline.read(path).get("tunings") or {}).get(name) != block:
        raise InputError(f"{path}: differs from params.yaml; run `dvc repro check` first")


def _refuse_links(root: Path) -> None:
    """Raise `InputError` if a folder of results is a link: DVC does not follow it.

    DVC says so only after the stage has run, which may have taken an hour.
    """
    of_data = ("models", "paths", "predictions", "subsets")
    for name in ("data", *(f"data/{folder}" for folder in of_data), "report"):
        if (root / name).is_symlink():
            raise InputError(
                f"{root / name}: is a symbolic link to a folder, and DVC records no result "
                "in one. Replace the link with the folder itself; to keep results on "
                "another disk, move DVC's cache there: `dvc cache dir --local FOLDER`, and "
                "`dvc config --local cache.type symlink`"
            )


def check_name(checked: "Params", of: Kind, name: str) -> None:
    """Raise `InputError` unless params.yaml has a block of that kind and name."""
    known = getattr(checked, BLOCKS[of])
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise InputError(f"params.yaml has no {of} {name!r}; it has {there}")
