"""Refuse a result if the stage's inputs changed while it ran.

DVC records the parameters, the data and the fingerprint of the code that it finds after a
stage has run. If they changed meanwhile, by a `git switch` or an editor, dvc.lock and the
run cache would attribute the result to the wrong inputs.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from digits.config import fingerprint, params
from digits.config.params import Params
from digits.data import regular
from digits.data.ignore import Ignored
from digits.errors import InputError

REMEDY = "run `dvc repro` again"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@contextmanager
def unchanged(checked: Params, stage: str, root: Path) -> Iterator[None]:
    """Refuse the result of the block if what it was made of has changed meanwhile.

    checked: the parameters that the block uses
    stage: its name in dvc.yaml, such as `train@multinomial`

    Raises `InputError` that names the first change.
    """
    name, _, key = stage.rpartition(":")[2].partition("@")  # from a folder: ../dvc.yaml:…
    plan = _read(root / "dvc.yaml")
    if name not in plan["stages"]:
        raise InputError(f"{root / 'dvc.yaml'}: has no stage {name} any more; {REMEDY}")
    block = plan["stages"][name]
    block = block.get("do", block)
    words = {"${key}": key}
    if variant := checked.variants.get(key):
        words["${item.subset}"] = variant.subset
        words["${item.train.model}"] = variant.train.model

    def filled(texts: list[str]) -> list[str]:
        for word, value in words.items():
            texts = [text.replace(word, value) for text in texts]
        return texts

    # of another file than params.yaml: a mapping of its name
    names = [name for entry in block.get("params", []) for name in _names(entry)]
    where = root / block.get("wdir", "")
    keys, deps = filled(names), filled(block.get("deps", []))
    paths = [where / dep for dep in deps]
    code = [where / dep for dep in deps if fingerprint.FOLDER.name in Path(dep).parts]
    _refuse_changed_code(code, stage)
    start = time.time_ns()
    ignored = Ignored(root)
    values = [_value(checked, key) for key in keys]
    files = [_state(path, ignored) for path in paths]
    yield
    _refuse_changed_code(code, stage, start)
    now = params.load(root / "params.yaml")
    changed = [
        f"{root / 'params.yaml'}: {key}"
        for key, value in zip(keys, values, strict=True)
        if _value(now, key) != value
    ]
    changed += [
        str(path)
        for path, state in zip(paths, files, strict=True)
        if _state(path, ignored) != state
    ]
    if changed:
        raise InputError(
            f"{changed[0]} changed while {stage} ran; the result is of what was there "
            f"before, so it is not recorded; {REMEDY}"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        return yaml.load(regular.text(path), _Loader)  # noqa: S506 (it is safe)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _refuse_changed_code(paths: list[Path], stage: str, since: int = 0) -> None:
    """Raise `InputError` unless the code and libraries are those that `check` recorded.

    since: nanoseconds of the clock at which they were
    """
    for path in paths:
        parts = path.with_suffix("").parts
        name = "/".join(parts[parts.index(fingerprint.FOLDER.name) + 1 :])
        if changed := fingerprint.difference(name, path, since):
            raise InputError(
                f"{changed} is not what {path} recorded, so the result of {stage} is not "
                "recorded; run `dvc repro --force --single-item check`, then `dvc repro`"
            )


def _names(entry: str | dict[str, list[str]]) -> list[str]:
    """Return the parameters that an entry under `params` names."""
    return [entry] if isinstance(entry, str) else [*chain(*entry.values())]


def _value(checked: Params, key: str) -> Any:
    """Return the value of a dotted key, None if there is none."""
    value: Any = checked
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return value


def _state(path: Path, ignored: Ignored) -> list[tuple[str, int, int, int]]:
    """Return what changes when a file, or one in a folder, is written or replaced.

    Hashes would be surer, but reading the data a second time costs as much as a stage.
    """
    files = ignored.files(path) if path.is_dir() else [path]
    return sorted(
        (str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        for file in files
        if file.is_file()
        for stat in (file.stat(),)
    )
