"""Refuse a result if the stage's inputs changed while it ran.

DVC records parameters, data and fingerprints of the code after a stage has run
(https://github.com/treeverse/dvc/issues/11058). If they changed while it ran, by a
`git switch` or an editor, dvc.lock and the run cache would attribute the result to the
wrong inputs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from digits.config import fingerprint, params
from digits.config.params import Params
from digits.data.ignore import Ignored
from digits.errors import InputError

# Returns the parameters that a stage uses, as JSON; None if there are none.
Used = Callable[[Params], str | None]


@contextmanager
def unchanged(
    checked: Params, stage: str, inputs: Sequence[Path], used: Used, root: Path
) -> Iterator[None]:
    """Refuse the result of the `with` block if its inputs change while it runs.

    Args:
        checked: The parameters at the start.
        stage: The name in dvc.yaml, such as `train@multinomial`.
        inputs: The files and folders that the stage reads.
        used: Selects the parameters that the stage uses.
        root: The folder of the project.

    Raises:
        InputError: It names the first change.
    """
    code = [path for path in inputs if fingerprint.FOLDER.name in path.parts]
    _refuse_changed_code(code, stage, root)
    start = time.time_ns()
    ignored = Ignored(root)
    before = used(checked)
    files = [_state(path, ignored) for path in inputs]
    yield
    _refuse_changed_code(code, stage, root, start)
    changed = [
        path
        for path, state in zip(inputs, files, strict=True)
        if _state(path, ignored) != state
    ]
    if used(params.load(root / "params.yaml")) != before:
        changed.insert(0, root / "params.yaml")
    if changed:
        raise InputError(
            f"{changed[0]} changed while {stage} ran, so the result is not recorded; "
            "run `dvc repro` again"
        )


def _refuse_changed_code(paths: list[Path], stage: str, root: Path, since: int = 0) -> None:
    """Raise `InputError` unless the code and libraries are those that `check` recorded.

    Args:
        paths: The fingerprints.
        stage: The name in dvc.yaml.
        root: The folder of the project.
        since: When they were compared before, in nanoseconds since the epoch; 0: never.
    """
    for path in paths:
        if changed := fingerprint.difference(fingerprint.name_of(path), path, since):
            # Of a project without code, the fingerprints are those of the one here.
            here = "" if path.resolve().is_relative_to(root.resolve()) else "--cd . "
            raise InputError(
                f"{changed} differs from {path}, so the result of {stage} is not recorded; "
                f"run `dvc {here}repro --force --single-item check`, then `dvc repro`"
            )


def _state(path: Path, ignored: Ignored) -> list[tuple[str, int, int, int]]:
    """Return what changes when a file, or one in a folder, is written or replaced.

    Hashes would be safer, but reading the data again takes as long as a stage.
    """
    files = ignored.files(path) if path.is_dir() else [path]
    return sorted(
        (str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        for file in files
        if file.is_file()
        for stat in (file.stat(),)
    )
