"""Remove variants or subsets and everything that belongs to them.

This removes the block in params.yaml, its entries under `plots` in dvc.yaml, its stages in
dvc.lock, and its files under data/ and metrics/. A variant takes its tunings with it.
Comments outside the block and all other files stay.
Copies stay in DVC's cache until `dvc gc`, and in Git's history.
"""

import argparse
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from digits import locks, pipeline
from digits.config import cli, params
from digits.data import files
from digits.data.ignore import Ignored
from digits.errors import InputError
from digits.pipeline import Pipeline

EXAMPLES = """\
examples:
  digits remove linear_binary            a variant
  digits remove linear_binary binary     a variant, and the subset it used
  digits remove subsets.digits           if a variant has the same name
  digits remove --leftovers              what is left of a block that was deleted by hand
  digits remove --dry-run linear_binary  only print what would be removed

Then `dvc repro` trains nothing: it runs only `check` and `report`.

exit status: 0; 1 if nothing was removed, for instance because a name is unknown
"""
STATUS = 1  # of a user's mistake

Key = tuple[str | int, ...]  # the path of a block: keys, and positions in lists


@dataclass
class Removal:
    """A plan: blocks of YAML files by their keys, stages by their dvc.lock, files."""

    blocks: dict[str, list[Key]] = field(default_factory=dict)
    stages: dict[str, list[str]] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether there is anything to remove."""
        return any((*self.blocks.values(), *self.stages.values(), self.paths))


def plan(project: Pipeline, names: list[str], *, leftovers: bool) -> Removal:
    """Return what is to be removed.

    Args:
        project: The project.
        names: Variants or subsets, also as `variants.<name>`.
        leftovers: Whether to also remove results that no stage produces any more.

    Raises:
        InputError: If a name is unknown or ambiguous, if a remaining variant uses a subset,
            or if no variant or subset would remain.
    """
    members = dict.fromkeys(_resolve(project, name) for name in names)
    if leftovers:
        for group in sorted(project.groups):
            members |= {(group, name): None for name in project.left_over_members(group)}
    for group in sorted(project.groups):
        present = project.members(group)
        named = {name for of, name in members if of == group and name in present}
        if named and not set(present) - named:
            raise InputError(
                f"{project.root / 'params.yaml'}: needs at least one block under {group}, "
                f"so the last cannot be removed ({', '.join(sorted(named))})"
            )
    for group, name in members:
        users = [
            variant
            for variant, block in (project.params.get("variants") or {}).items()
            if group == "subsets" and ("variants", variant) not in members
            if isinstance(block, dict) and block.get("subset") == name
        ]
        if users:
            raise InputError(
                f"{project.root / 'params.yaml'}: subset {name} is used by "
                f"{', '.join(users)}; to remove these as well, name them"
            )
    removal = Removal()
    removal.blocks["params.yaml"] = [
        (group, name) for group, name in members if name in project.members(group)
    ]
    parts = [project.recorded_of(*member) for member in members]
    parts += [project.left_over()] if leftovers else []
    stages = sorted({stage for stages, _ in parts for stage in stages})
    removal.stages[pipeline.LOCK] = stages
    removal.paths = sorted({path for _, paths in parts for path in paths})
    gone = {name for group, name in members if group == "variants"}
    _plan_tunings(project, removal, gone, leftovers=leftovers)
    own = {path for member in members for path in project.files_of(*member)}
    removal.blocks["dvc.yaml"] = [*_plots(project, own)]
    return removal


def _plan_tunings(
    project: Pipeline, removal: Removal, gone: set[str], *, leftovers: bool
) -> None:
    """Add the tunings of variants that are removed, and those that are left over."""
    blocks = project.params.get("tuning") or {}
    lost = [name for name, block in blocks.items() if (block or {}).get("variant") in gone]
    whole = bool(lost) and len(lost) == len(blocks)
    keys: list[Key] = [("tuning",)] if whole else [("tuning", name) for name in lost]
    removal.blocks["params.yaml"] += keys
    lock = project.root / pipeline.TUNING_LOCK
    recorded = pipeline.read(lock).get("stages") or {} if lock.exists() else {}
    names = {stage: stage.partition("@")[2] for stage in recorded}
    removal.stages[pipeline.TUNING_LOCK] = [
        stage
        for stage, name in names.items()
        if name in lost or (leftovers and name not in blocks)
    ]
    lost += [names[stage] for stage in removal.stages[pipeline.TUNING_LOCK]]
    for name in sorted({*lost}):
        results = project.root / "tuning"
        unfinished = project.root / "data/unfinished/tuning" / name
        paths = (results / f"{name}.json", results / name, unfinished)
        removal.paths += [path for path in paths if path.exists()]


def _resolve(project: Pipeline, name: str) -> tuple[str, str]:
    """Return the group and the member that a name stands for."""
    of, _, member = name.rpartition(".")
    known = {
        (group, key)
        for group in project.groups
        for key in (*project.members(group), *project.left_over_members(group))
    }
    meant = sorted(
        (group, key) for group, key in known if key == member and of in ("", group)
    )
    if len(meant) > 1:
        ways = " or ".join(".".join(way) for way in meant)
        raise InputError(f"{name} is both a variant and a subset; write {ways}")
    if not meant:
        every = sorted({key for _, key in known})
        near = get_close_matches(member, every, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(every)}"
        raise InputError(f"there is no variant or subset {name}; {hint}")
    return meant[0]


def _plots(project: Pipeline, gone: set[Path]) -> Iterator[Key]:
    """Yield the keys of the entries under `plots` in dvc.yaml that show removed files."""

    def is_gone(name: Any) -> bool:
        path = project.root / name
        return any(path == other or other in path.parents for other in gone)

    plots = project.plots
    entries = [*enumerate(plots)] if isinstance(plots, list) else [*plots.items()]
    whole_entries: list[Key] = []
    sources_in_entries: list[Key] = []
    for at, entry in entries:
        named = entry if isinstance(entry, dict) else {entry: None}
        name, options = (
            next(iter(named.items())) if isinstance(plots, list) else (at, entry)
        )
        sources = (options or {}).get("y")
        shown = [*sources] if isinstance(sources, dict) else [name]
        lost = [source for source in shown if is_gone(source)]
        if len(lost) == len(shown):
            whole_entries.append(("plots", at))
        else:
            steps = (name,) if isinstance(plots, list) else ()
            sources_in_entries += (("plots", at, *steps, "y", source) for source in lost)
    if entries and len(whole_entries) == len(entries):
        yield ("plots",)
    else:
        yield from whole_entries + sources_in_entries


def carry_out(project: Pipeline, removal: Removal) -> None:
    """Carry out the plan.

    The stages in dvc.lock go last: after a kill, they say what is left over.

    Raises:
        InputError: If params.yaml would be invalid; nothing is removed then.
    """
    root = project.root
    texts = {
        name: remove_keys((root / name).read_bytes().decode(), keys)
        for name, keys in removal.blocks.items()
        if keys
    }
    for name, text in texts.items():
        with files.replacing(root / name) as temporary:
            temporary.write_text(text, "utf-8", newline="")
            if name == "params.yaml":
                try:
                    params.load(temporary)
                except InputError as error:
                    message = str(error).replace(str(temporary), str(root / name))
                    raise InputError(
                        f"params.yaml would be invalid after the removal: {message}"
                    ) from error
    ignored = Ignored(root)
    for path in removal.paths:
        _delete(path, root, ignored)
    for name, stages in removal.stages.items():
        if stages:
            lock = pipeline.read(root / name)
            lock["stages"] = {
                stage: record
                for stage, record in lock["stages"].items()
                if stage not in stages
            }
            pipeline.write(root / name, lock)


def _delete(path: Path, root: Path, ignored: Ignored) -> None:
    """Delete a file or a folder, and the folders above it that are then empty."""
    files.remove(path)
    folder = path.parent
    kept = (root, *(root / name for name in ("data", "metrics", "tuning")))
    while folder not in kept and not [
        left for left in folder.iterdir() if not ignored(left, folder=left.is_dir())
    ]:
        shutil.rmtree(folder)
        folder = folder.parent


def remove_keys(text: str, keys: list[Key]) -> str:
    """Return the text of a YAML file without some of its blocks, otherwise unchanged.

    The comments of a block, in it and just above its key, are removed with it.
    """
    expected = yaml.load(text, yaml.BaseLoader)  # noqa: S506 (strings only)
    keys = sorted(keys, key=_order, reverse=True)  # a list's last entry first
    for key in keys:
        _pop(expected, key)
    edited = text
    try:
        for key in keys:
            first, last = _lines(edited, key)
            lines = edited.splitlines(keepends=True)
            edited = "".join((*lines[:first], *lines[last + 1 :]))
        if yaml.load(edited, yaml.BaseLoader) == expected:  # noqa: S506 (as above)
            return edited
    except yaml.YAMLError:
        pass
    return _rewritten(text, keys)  # in braces on one line, or with references


def _rewritten(text: str, keys: list[Key]) -> str:
    """Do the same by writing the whole file again, which may move comments."""
    from ruamel.yaml import YAML  # noqa: PLC0415 (rarely needed)

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 10_000  # break no line
    content = editor.load(text)
    for key in keys:
        _pop(content, key)
    stream = io.StringIO()
    editor.dump(content, stream)
    return stream.getvalue()


def _order(key: Key) -> tuple[str, ...]:
    return tuple(f"{step:09}" if isinstance(step, int) else step for step in key)


def _pop(content: Any, key: Key) -> None:
    *above, last = key
    for step in above:
        content = content[step]
    del content[last]


def _lines(text: str, key: Key) -> tuple[int, int]:
    """Return the first and the last line of a block with its comments, counted from 0."""
    lines = text.splitlines()
    node: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    first = 0
    for step in key:
        if isinstance(node, yaml.MappingNode):
            name, node = next(
                pair for pair in node.value if str(pair[0].value) == str(step)
            )
            first = name.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            first = node.start_mark.line
    last = max(first, _last_line(node))
    indent = len(lines[first]) - len(lines[first].lstrip())
    deeper = re.compile(rf" {{{indent + 1},}}#")
    while last + 1 < len(lines) and deeper.match(lines[last + 1]):
        last += 1
    above = re.compile(rf" {{{indent}}}#")
    while first and above.match(lines[first - 1]):
        first -= 1
    after = next((n for n in range(last + 1, len(lines)) if lines[n].strip()), len(lines))
    if after == len(lines):  # no empty line at the end of the file
        while first and not lines[first - 1].strip():
            first -= 1
    if after == len(lines) or not lines[first - 1].strip():  # nor two between blocks
        last = after - 1
    return first, last


def _last_line(node: Any) -> int:
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1])
    end = node.end_mark
    return int(end.line) - (end.column == 0 and end.line > node.start_mark.line)


def describe(project: Pipeline, removal: Removal) -> list[str]:
    """Return a line for each item that is removed, or would be."""
    root = project.root
    return [
        *(
            f"  {root / name}: {'.'.join(map(str, key))}"
            for name, keys in removal.blocks.items()
            for key in keys
        ),
        *(
            f"  {root / name}: {stage}"
            for name, stages in removal.stages.items()
            for stage in stages
        ),
        *(f"  {path}{'/' if path.is_dir() else ''}" for path in removal.paths),
    ]


def remove(root: Path, names: list[str], *, leftovers: bool, dry: bool) -> None:
    """Plan, remove, and print what was removed.

    Args:
        root: The folder of the project.
        names: Variants or subsets.
        leftovers: Whether to also remove results that no stage produces any more.
        dry: Whether only to print the plan.
    """
    if not names and not leftovers:
        raise InputError("name a variant or a subset, or add --leftovers")
    project = Pipeline(root)
    removal = plan(project, names, leftovers=leftovers)
    if not removal:
        print("nothing is left over")
        return
    lines = describe(project, removal)
    if not dry:
        with locks.exclusive(root):
            carry_out(project, removal)
    print("would remove:" if dry else "removed:", *lines, sep="\n")
    if not dry:
        then = "next: `dvc repro` (it trains nothing), then `git add --all`"
        print(cli.commands_for(root, then))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="a variant or a subset")
    parser.add_argument(
        "--leftovers",
        action="store_true",
        help="also remove results that no stage produces any more",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only print what would be removed"
    )
    cli.add_root(parser)


def main(arguments: argparse.Namespace) -> int:
    """Remove, and return the exit status."""
    with cli.commands_act_on(arguments.root):
        remove(
            arguments.root,
            arguments.names,
            leftovers=arguments.leftovers,
            dry=arguments.dry_run,
        )
    return 0
