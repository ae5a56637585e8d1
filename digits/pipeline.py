"""The stages that dvc.yaml with params.yaml has, and those that dvc.lock recorded.

DVC never takes a stage out of dvc.lock: what stays there after a variant was removed is
left over, and so are the files that it names.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import ParseError, dumps_yaml, parse_yaml
from voluptuous import Invalid

from digits.data import files, regular
from digits.errors import InputError

LOCK = "dvc.lock"
# No output: what is left there is used only for the same data, parameters and code.
UNFINISHED = "data/unfinished/${key}"


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file as DVC does. Raises `InputError` if it can't be read."""
    try:
        content = parse_yaml(regular.text(path), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read; run `dvc repro`") from error
    except (ParseError, ValueError) as error:
        cause = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"{path}: is no YAML ({cause}); {_from_git(path)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no mapping of keys; {_from_git(path)}")
    return content


def refuse_anothers(root: Path) -> None:
    """Raise `InputError` if the repository is another user's: Git and DVC don't read it."""
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


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a YAML file as DVC does, whole or not at all."""
    with files.replacing(path) as temporary:
        temporary.write_text(dumps_yaml(content), "utf-8", newline="\n")


def _from_git(path: Path) -> str:
    if path.name == LOCK:
        return "`digits unlock` repairs it"
    return f"take it from Git: `git checkout {path}`"


class Pipeline:
    """What the three files in a folder say of its stages.

    A group is what stages are made for one by one: `variants` or `subsets`.
    """

    def __init__(self, root: Path) -> None:
        """Read dvc.yaml and params.yaml. Raises `InputError` if one can't be read."""
        self.root = root
        self.params = read(root / "params.yaml")
        self.plan = read(root / "dvc.yaml")
        self.blocks: dict[str, dict[str, Any]] = self.plan.get("stages") or {}

    @cached_property
    def lock(self) -> dict[str, Any]:
        """All of dvc.lock. Raises `InputError` if it is missing or none of DVC's."""
        path = self.root / LOCK
        content = read(path)
        try:
            COMPILED_LOCKFILE_SCHEMA(content)
            content["stages"].items()
        except (Invalid, KeyError) as error:
            raise InputError(
                f"{path}: is not what DVC writes ({error}); {_from_git(path)}"
            ) from error
        return content

    @property
    def recorded(self) -> dict[str, dict[str, Any]]:
        """The stages in dvc.lock, by name; none if nothing was run yet."""
        if not (self.root / LOCK).exists():
            return {}
        stages: dict[str, dict[str, Any]] = self.lock["stages"]
        return stages

    def group(self, block: str) -> str | None:
        """Return the group for whose members a block of dvc.yaml is, if for any."""
        each = self.blocks.get(block, {}).get("foreach")
        return re.sub(r"\$\{(\w+)\}", r"\1", each) if isinstance(each, str) else None

    @property
    def groups(self) -> set[str]:
        """The groups that dvc.yaml names."""
        return {group for block in self.blocks if (group := self.group(block))}

    def members(self, group: str) -> list[str]:
        """Return the names of a group in params.yaml."""
        return [*(self.params.get(group) or {})]

    @property
    def stages(self) -> list[str]:
        """The names of all stages that dvc.yaml with params.yaml has."""
        return [
            f"{block}@{key}" if key else block
            for block in self.blocks
            for key in self._keys(block)
        ]

    def _keys(self, block: str) -> list[str]:
        group = self.group(block)
        return self.members(group) if group else [""]

    def _declared(self, block: str) -> Iterator[tuple[str, bool]]:
        """Yield each output of a block, its `${key}` in it, and whether DVC caches it."""
        content = self.blocks[block].get("do", self.blocks[block])
        for kind in ("outs", "metrics", "plots"):
            for out in content.get(kind, []):
                path, options = (
                    (out, {}) if isinstance(out, str) else next(iter(out.items()))
                )
                yield path, (options or {}).get("cache", True)

    def _place(self, block: str, path: str) -> Path:
        """Return where a path of a stage is: it is relative to the stage's folder."""
        content = self.blocks.get(block, {})
        return self.root / content.get("do", content).get("wdir", "") / path

    def in_git(self, stage: str) -> set[str]:
        """Return the outputs of a stage that DVC does not cache, so that Git has them."""
        block, _, key = stage.partition("@")
        return {
            path.replace("${key}", key)
            for path, cached in self._declared(block)
            if not cached
        }

    def _templates(self, group: str) -> Iterator[tuple[Path, bool]]:
        """Yield what each member of a group has of its own, and if DVC caches it.

        Of `metrics/${key}/tables` it is all of `metrics/${key}`.
        """
        for block in self.blocks:
            if self.group(block) == group:
                for path, cached in self._declared(block):
                    own = re.match(r"(.*?\$\{key\}[^/]*)(/.*)?", path)
                    if own:
                        yield self._place(block, own[1]), cached
        if group == "variants":
            yield self.root / UNFINISHED, True

    def of(self, group: str, key: str) -> tuple[list[str], list[Path]]:
        """Return the stages in dvc.lock and the files that are of one member of a group."""
        stages = [
            name
            for name in self.recorded
            if name.partition("@")[2] == key and self.group(name.partition("@")[0]) == group
        ]
        paths = [*self.own(group, key), *self._outs(stages)]
        return stages, self._free(paths, {(group, key)})

    def own(self, group: str, key: str) -> list[Path]:
        """Return where the files of one member of a group are, or would be."""
        return [
            Path(str(path).replace("${key}", key)) for path, _ in self._templates(group)
        ]

    def left_over(self) -> tuple[list[str], list[Path]]:
        """Return the stages in dvc.lock, and the files, that no stage makes any more.

        Files count if dvc.lock names them or their variant.
        """
        known = set(self.stages)
        stages = [name for name in self.recorded if name not in known]
        paths = [*self._outs(stages)]
        for group in sorted(self.groups):
            for key in sorted(self.left_over_members(group)):
                paths += self.of(group, key)[1]
        return stages, self._free(paths, set())

    def left_over_members(self, group: str) -> set[str]:
        """Return the names that dvc.lock has, and params.yaml not.

        Files that dvc.lock does not name may be the user's own, and do not count.
        """
        names = {
            name.partition("@")[2]
            for name in self.recorded
            if self.group(name.partition("@")[0]) == group
        }
        return names - set(self.members(group))

    def _outs(self, stages: Iterable[str]) -> Iterator[Path]:
        for name in stages:
            for out in self.recorded[name].get("outs", []):
                yield self._place(name.partition("@")[0], out["path"])

    def _free(self, paths: Iterable[Path], but: set[tuple[str, str]]) -> list[Path]:
        """Return those that exist and hold nothing of a stage, but for one of `but`.

        What is in a folder that is among them is left out.
        """
        kept = {
            self._place(block, path.replace("${key}", key))
            for block in self.blocks
            for key in self._keys(block)
            if (self.group(block), key) not in but
            for path, _ in self._declared(block)
        }
        found = [
            path
            for path in dict.fromkeys(paths)
            if (path.exists() or path.is_symlink())
            and not any(
                path == other or path in other.parents or other in path.parents
                for other in kept
            )
        ]
        return [path for path in found if not set(path.parents) & set(found)]
