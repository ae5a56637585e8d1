"""The pipeline as its files describe it: dvc.yaml, params.yaml and dvc.lock.

This is the only module that reads dvc.yaml. An entry under `stages` there is either a
stage, or a template from which DVC makes one stage for each variant or subset.

DVC never removes a stage from dvc.lock. What stays there after a variant was removed is
left over, and so are the files that it names.
"""

import math
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from digits.config import params
from digits.config.params import Params
from digits.data import files, regular
from digits.errors import InputError

LOCK = "dvc.lock"
# Not an output: a checkpoint here is used only for the same data, parameters and code.
UNFINISHED = "data/unfinished/${key}"
# What dvc.yaml cannot express by itself: plots of one table of each variant. By name of the
# plot, the table in metrics/<variant>/ and the column that is drawn.
PLOTS = "plots.yaml"
# What tuning/dvc.yaml cannot look up: the variant of each tuning.
TUNINGS = "tuning/stages.yaml"
TUNING_LOCK = "tuning/dvc.lock"
COMPARED = {
    "confusion": ("confusion.csv", "actual"),
    "learning": ("training/curve.csv", "value"),
    "scores": ("scores.csv", "count"),
}


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file as DVC does, with the parser that DVC uses.

    Raises:
        InputError: The file cannot be read, or does not contain a mapping.
    """
    text = ""
    try:
        text = regular.text(path)
        content = YAML(typ="safe").load(text) or {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read; {_remedy(path)}") from error
    except (YAMLError, ValueError) as error:
        if path.name != LOCK and params.CONFLICT.search(text):
            raise InputError(f"{path}: {params.HAS_CONFLICT}") from error
        cause = " ".join(str(error).split())
        raise InputError(f"{path}: is not YAML ({cause}); {_remedy(path)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not a mapping of keys; {_remedy(path)}")
    return content


def hashes(lock: str) -> dict[str, str]:
    """Return the MD5 of each output that a dvc.lock records, by its path.

    Args:
        lock: The content of dvc.lock.

    Raises:
        ValueError: It is no lock file of DVC.
    """
    try:
        stages = YAML(typ="safe").load(lock)["stages"].values()
        outs = [out for stage in stages for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs if "md5" in out}
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a YAML file in the format of DVC, completely or not at all."""
    from dvc.utils.serialize import dumps_yaml  # noqa: PLC0415 (slow to import)

    with files.replacing(path) as temporary:
        temporary.write_text(dumps_yaml(content), "utf-8", newline="\n")


def write_plots(root: Path, variants: Iterable[str]) -> None:
    """Write plots.yaml: what the plots in dvc.yaml that compare all variants consist of.

    DVC reads it with dvc.yaml, and reads neither if it is missing or damaged.
    """
    names = [*variants]
    content = {
        plot: {f"metrics/{name}/{table}": column for name in names}
        for plot, (table, column) in COMPARED.items()
    }
    # A line for each table, so that Git can merge them.
    lines = yaml.safe_dump(
        {"plots": content}, allow_unicode=True, sort_keys=False, width=math.inf
    )
    with files.replacing(root / PLOTS) as temporary:
        temporary.write_text(
            f"# written by the stage `check`\n{lines}", "utf-8", newline="\n"
        )


def write_tunings(root: Path, checked: Params) -> bool:
    """Write tuning/stages.yaml, which DVC reads with tuning/dvc.yaml.

    DVC cannot look up the variant of a tuning, so all that a tuning depends on is there.

    Returns:
        Whether the stages of tuning/dvc.yaml, or what they read, are others than before.
    """
    path = root / TUNINGS
    tunings = {name: checked.tuning_block(name) for name in checked.tuning}
    before: dict[str, Any] = {}
    with suppress(InputError):
        before = read(path).get("tunings") or {}
    # Lists of numbers in a line each.
    lines = yaml.safe_dump(
        {"tunings": tunings},
        allow_unicode=True,
        sort_keys=False,
        width=math.inf,
        default_flow_style=None,
    )
    with files.replacing(path) as temporary:
        temporary.write_text(
            f"# written by the stage `check`\n{lines}", "utf-8", newline="\n"
        )
    return _stages(tunings) != _stages(before)


def _stages(tunings: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what DVC makes stages from, for each tuning."""
    keys = ("variant", "subset", "model")
    return {name: [block.get(key) for key in keys] for name, block in tunings.items()}


def restore(root: Path) -> list[Path]:
    """Write plots.yaml and tuning/stages.yaml again if DVC needs but cannot read them.

    Returns:
        What was written.

    Raises:
        InputError: dvc.yaml or params.yaml cannot be read.
    """
    written = []
    if _is_missing(root, "dvc.yaml", PLOTS, "plots"):
        write_plots(root, read(root / "params.yaml").get("variants") or {})
        written.append(root / PLOTS)
    if _is_missing(root, "tuning/dvc.yaml", TUNINGS, "tunings"):
        write_tunings(root, params.load(root / "params.yaml"))
        written.append(root / TUNINGS)
    return written


def _is_missing(root: Path, dvc_yaml: str, name: str, key: str) -> bool:
    """Return whether a dvc.yaml reads a key of a file, and the file does not have it."""
    reader = root / dvc_yaml
    if not reader.exists() or PurePath(name).name not in (read(reader).get("vars") or []):
        return False
    with suppress(InputError):
        return key not in read(root / name)
    return True


def refuse_foreign_repository(root: Path) -> None:
    """Refuse a repository of another user: neither Git nor DVC reads its history.

    Raises:
        InputError: Git says so; the message contains the command that allows it.
    """
    result = subprocess.run(
        ("git", "rev-parse"),  # noqa: S607 (Git comes from PATH)
        cwd=root,
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "dubious ownership" in result.stderr:
        command = result.stderr.strip().splitlines()[-1].strip()
        raise InputError(
            f"{root.resolve()}: the repository belongs to another user, so neither Git nor "
            f"DVC reads its history. If you trust it: `{command}`"
        )


def _remedy(path: Path) -> str:
    if path.name != LOCK:
        return f"restore it from Git: `git checkout {path}`"
    return "`digits unlock` repairs it" if path.exists() else "run `dvc repro`"


class Output(NamedTuple):
    """An output as dvc.yaml declares it.

    Attributes:
        path: Relative to the folder of the stage, with `${key}` if it is a template.
        cached: Whether DVC's cache keeps it; otherwise Git does.
    """

    path: str
    cached: bool


@dataclass(frozen=True)
class StageEntry:
    """An entry under `stages` in dvc.yaml.

    Attributes:
        description: One sentence, with `${key}` if it is a template.
        group: The part of params.yaml for whose members DVC makes a stage each
            (`variants` or `subsets`); empty if the entry is a single stage.
        folder: The folder of the stage, relative to that of dvc.yaml.
        deps: What it reads: paths, relative to the folder.
        outputs: What it writes: `outs`, `metrics` and `plots`.
    """

    name: str
    description: str
    group: str
    folder: str
    deps: tuple[str, ...]
    outputs: tuple[Output, ...]

    @classmethod
    def parse(cls, name: str, entry: dict[str, Any]) -> "StageEntry":
        """Return the entry, parsed."""
        stage, each = entry.get("do", entry), entry.get("foreach")
        outputs = (
            Output(path, options.get("cache", True))
            for kind in ("outs", "metrics", "plots")
            for path, options in map(_with_options, stage.get(kind, []))
        )
        return cls(
            name=name,
            description=stage.get("desc", ""),
            group=re.sub(r"\$\{(\w+)\}", r"\1", each) if isinstance(each, str) else "",
            folder=stage.get("wdir", ""),
            deps=tuple(_with_options(dep)[0] for dep in stage.get("deps", [])),
            outputs=tuple(outputs),
        )


def _with_options(entry: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the path and the options of an entry, which may be the path alone."""
    if isinstance(entry, str):
        return entry, {}
    ((path, options),) = entry.items()
    return path, options or {}


def read_entries(path: Path) -> dict[str, StageEntry]:
    """Return the entries under `stages` in a dvc.yaml, by name.

    Raises:
        InputError: The file cannot be read, or DVC would refuse it.
    """
    entries = read(path).get("stages") or {}
    try:
        return {name: StageEntry.parse(name, entry) for name, entry in entries.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is not a pipeline that DVC can run ({error}); {_remedy(path)}"
        ) from error


class Pipeline:
    """The stages that dvc.yaml and params.yaml describe, and those that dvc.lock records.

    Attributes:
        root: The folder of the three files.
        params: The content of params.yaml.
        entries: The entries under `stages` in dvc.yaml, by name.
    """

    def __init__(self, root: Path) -> None:
        """Read dvc.yaml and params.yaml.

        Raises:
            InputError: One of them cannot be read.
        """
        self.root = root
        self.params = read(root / "params.yaml")
        self.entries = read_entries(root / "dvc.yaml")

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The content of dvc.lock.

        Raises:
            InputError: It is missing, or is not a lock file of DVC.
        """
        from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # noqa: PLC0415 (slow to import)
        from voluptuous import Invalid  # noqa: PLC0415 (as above)

        path = self.root / LOCK
        content = read(path)
        try:
            COMPILED_LOCKFILE_SCHEMA(content)
            content["stages"].items()
        except (Invalid, KeyError) as error:
            raise InputError(
                f"{path}: is not a lock file of DVC ({error}); {_remedy(path)}"
            ) from error
        return content

    @property
    def recorded(self) -> dict[str, dict[str, Any]]:
        """The stages in dvc.lock, by name; none if nothing has run yet."""
        if not (self.root / LOCK).exists():
            return {}
        stages: dict[str, dict[str, Any]] = self.lock["stages"]
        return stages

    @property
    def plots(self) -> list[Any] | dict[str, Any]:
        """The entries under `plots` at the top level of dvc.yaml."""
        return read(self.root / "dvc.yaml").get("plots") or []

    @property
    def groups(self) -> set[str]:
        """The groups that dvc.yaml names: `variants` and `subsets`."""
        return {entry.group for entry in self.entries.values() if entry.group}

    def members(self, group: str) -> list[str]:
        """Return the names of a group in params.yaml."""
        return [*(self.params.get(group) or {})]

    @property
    def stages(self) -> list[str]:
        """The names of all stages of dvc.yaml with params.yaml, in their order there."""
        return [
            f"{entry.name}@{key}" if key else entry.name
            for entry in self.entries.values()
            for key in self._keys(entry)
        ]

    def _keys(self, entry: StageEntry) -> list[str]:
        return self.members(entry.group) if entry.group else [""]

    def _group_of(self, stage: str) -> str:
        """Return the group of a stage; empty if it has none, or dvc.yaml lacks it."""
        entry = self.entries.get(stage.partition("@")[0])
        return entry.group if entry else ""

    def _path(self, stage: str, path: str) -> Path:
        """Return where an output of a stage is: it is relative to the stage's folder."""
        entry = self.entries.get(stage.partition("@")[0])
        return self.root / (entry.folder if entry else "") / path

    def in_git(self, stage: str) -> set[str]:
        """Return the outputs of a stage that Git keeps, and not DVC's cache."""
        name, _, key = stage.partition("@")
        outputs = self.entries[name].outputs
        return {out.path.replace("${key}", key) for out in outputs if not out.cached}

    def files_of(self, group: str, key: str) -> list[Path]:
        """Return where the files of one member of a group are, or would be.

        If one output is in `metrics/${key}/`, all of `metrics/${key}` belongs to it.
        """
        templates = [
            self._path(entry.name, match[1])
            for entry in self.entries.values()
            if entry.group == group
            for out in entry.outputs
            if (match := re.match(r"(.*?\$\{key\}[^/]*)(/.*)?", out.path))
        ]
        if group == "variants":
            templates.append(self.root / UNFINISHED)
        return [Path(str(path).replace("${key}", key)) for path in templates]

    def recorded_of(self, group: str, key: str) -> tuple[list[str], list[Path]]:
        """Return the stages in dvc.lock and the existing files of one member of a group."""
        stages = [
            name
            for name in self.recorded
            if name.partition("@")[2] == key and self._group_of(name) == group
        ]
        paths = [*self.files_of(group, key), *self._outputs(stages)]
        return stages, self._unused(paths, but=(group, key))

    def left_over(self) -> tuple[list[str], list[Path]]:
        """Return the stages in dvc.lock, and the files, that no stage makes any more.

        Files count if dvc.lock names them or their variant.

        Raises:
            InputError: params.yaml is invalid, so a name that is missing may be a mistake.
        """
        params.load(self.root / "params.yaml")
        known = set(self.stages)
        stages = [name for name in self.recorded if name not in known]
        paths = [*self._outputs(stages)]
        for group in sorted(self.groups):
            for key in sorted(self.left_over_members(group)):
                paths += self.recorded_of(group, key)[1]
        return stages, self._unused(paths)

    def left_over_members(self, group: str) -> set[str]:
        """Return the names that dvc.lock has, and params.yaml does not.

        Files that dvc.lock does not name may be the user's, and do not count.
        """
        names = {
            name.partition("@")[2]
            for name in self.recorded
            if self._group_of(name) == group
        }
        return names - set(self.members(group))

    def _outputs(self, stages: Iterable[str]) -> Iterator[Path]:
        for name in stages:
            for out in self.recorded[name].get("outs", []):
                yield self._path(name, out["path"])

    def _unused(
        self, paths: Iterable[Path], but: tuple[str, str] | None = None
    ) -> list[Path]:
        """Return the paths that exist and hold no output of a stage.

        What is inside a folder that is also returned is left out.

        Args:
            paths: Candidates; duplicates are dropped.
            but: The group and the name of a member whose outputs do not count.
        """
        used = {
            self._path(entry.name, out.path.replace("${key}", key))
            for entry in self.entries.values()
            for key in self._keys(entry)
            if (entry.group, key) != but
            for out in entry.outputs
        }
        found = [
            path
            for path in dict.fromkeys(paths)
            if (path.exists() or path.is_symlink())
            and not any(
                path == other or path in other.parents or other in path.parents
                for other in used
            )
        ]
        return [path for path in found if not set(path.parents) & set(found)]
