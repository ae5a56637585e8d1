"""The graph of the pipeline, as dvc.yaml describes it."""

import re
from dataclasses import dataclass
from pathlib import Path

from digits import pipeline
from digits.pipeline import Block


@dataclass(frozen=True)
class Node:
    """A stage of the pipeline.

    Attributes:
        name: Its name in dvc.yaml.
        does: Its description, with `…` for the name of a variant or subset.
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
    blocks = pipeline.blocks(path)
    after = {
        name: tuple(
            other.name
            for other in blocks.values()
            if other is not block and _reads(block, other)
        )
        for name, block in blocks.items()
    }

    def depth(name: str) -> int:
        return 1 + max((depth(other) for other in after[name]), default=-1)

    found = [
        Node(
            name=name,
            does=_without_names(block.description, "…"),
            after=after[name],
            depth=depth(name),
            each=block.group,
        )
        for name, block in blocks.items()
    ]
    return sorted(found, key=lambda node: node.depth)


def _reads(block: Block, other: Block) -> bool:
    """Tell whether a stage reads an output of another one, or a part of it."""
    read = [_without_names(dep, "*") for dep in block.deps]
    written = [_without_names(out.path, "*") for out in other.outputs]
    return any(_inside(a, b) or _inside(b, a) for a in read for b in written)


def _without_names(text: str, placeholder: str) -> str:
    """Replace what differs between variants or subsets, `${…}`, by a placeholder."""
    return re.sub(r"\$\{[^}]*\}", placeholder, text)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
