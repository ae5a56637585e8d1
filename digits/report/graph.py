"""The pipeline's graph, as dvc.yaml has it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from digits.data import regular
from digits.errors import InputError


@dataclass(frozen=True)
class Node:
    """A stage of the pipeline.

    after: the stages whose results it reads
    depth: how many stages must run before it, one after the other
    each: what it runs once for ("subsets", "variants"), "" if it runs once
    """

    name: str
    does: str
    after: tuple[str, ...]
    depth: int
    each: str


def nodes(path: Path) -> list[Node]:
    """Return the stages of a dvc.yaml, in the order in which they run.

    Raises `InputError` if the file cannot be read.
    """
    try:
        stages = yaml.safe_load(regular.text(path))["stages"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    blocks = {name: stage.get("do", stage) for name, stage in stages.items()}
    after = {
        name: tuple(
            other
            for other in blocks
            if other != name and _reads(block, _written(blocks[other]))
        )
        for name, block in blocks.items()
    }

    def depth(name: str) -> int:
        return 1 + max((depth(other) for other in after[name]), default=-1)

    found = [
        Node(
            name=name,
            does=re.sub(r"\$\{[^}]*\}", "…", block.get("desc", "")),
            after=after[name],
            depth=depth(name),
            each=re.sub(r"\W", "", str(stages[name].get("foreach", ""))),
        )
        for name, block in blocks.items()
    ]
    return sorted(found, key=lambda node: node.depth)


def _written(block: dict[str, Any]) -> list[str]:
    """Return what a stage writes, without what differs from subset to subset."""
    keys = ("outs", "metrics", "plots")
    return [_plain(entry) for key in keys for entry in block.get(key, [])]


def _reads(block: dict[str, Any], written: list[str]) -> bool:
    """Tell whether a stage reads any of what another one wrote, or a part of it."""
    read = [_plain(entry) for entry in block.get("deps", [])]
    return any(_inside(a, b) or _inside(b, a) for a in read for b in written)


def _plain(entry: str | dict[str, Any]) -> str:
    path = entry if isinstance(entry, str) else next(iter(entry))
    return re.sub(r"\$\{[^}]*\}", "*", path)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
