"""The graph of the pipeline, as dvc.yaml describes it."""

import re
from dataclasses import dataclass
from pathlib import Path

from digits import pipeline
from digits.pipeline import StageEntry


@dataclass(frozen=True)
class Node:
    """A stage of the pipeline.

    Attributes:
        name: Its name in dvc.yaml.
        does: Its description, for each variant or subset in general.
        after: The stages whose results it reads.
        depth: The number of stages that must run before it, one after the other.
        each: The group whose members it runs for (`subsets` or `variants`); empty if it
            runs once.
    """

    name: str
    does: str
    after: tuple[str, ...]
    depth: int
    each: str


def nodes(path: Path) -> list[Node]:
    """Return the stages of a dvc.yaml, in the order in which they run.

    Raises:
        InputError: The file cannot be read.
    """
    entries = pipeline.read_entries(path)
    after = {
        name: tuple(
            other.name
            for other in entries.values()
            if other is not entry and _reads(entry, other)
        )
        for name, entry in entries.items()
    }

    def depth(name: str) -> int:
        return 1 + max((depth(other) for other in after[name]), default=-1)

    found = [
        Node(
            name=name,
            does=_of_each(entry.description),
            after=after[name],
            depth=depth(name),
            each=entry.group,
        )
        for name, entry in entries.items()
    ]
    return sorted(found, key=lambda node: node.depth)


def _reads(entry: StageEntry, other: StageEntry) -> bool:
    """Tell whether a stage reads an output of another one, or a part of it."""
    read = [_without_names(dep, "*") for dep in entry.deps]
    written = [_without_names(out.path, "*") for out in other.outputs]
    return any(_inside(a, b) or _inside(b, a) for a in read for b in written)


def _without_names(text: str, placeholder: str) -> str:
    """Replace what differs between variants or subsets, `${…}`, by a placeholder."""
    return re.sub(r"\$\{[^}]*\}", placeholder, text)


def _of_each(description: str) -> str:
    """Describe a stage in general: `variant ${key}` is each variant."""
    text = re.sub(r"(subset|variant) \$\{key\}", r"each \1", description)
    return _without_names(text.replace("${item.subset}", "its subset"), "…")


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
