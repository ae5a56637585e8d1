"""Change values in the text of `params.yaml`, and nothing else.

The text is replaced where the YAML parser says that the value stands. So comments, order,
line breaks and the style of blocks stay, unlike after writing the whole file again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from digits.config.params import Loader
from digits.errors import InputError

Key = tuple[
    str, ...
]  # the path of a value, such as ("variants", "lenet5", "train", "epochs")


def set_values(text: str, values: Mapping[Key, Any]) -> str:
    """Return the text of a valid params.yaml with other values.

    Args:
        text: The text, with its line ends.
        values: The new values (numbers, text, None or lists of them) by their keys. All but
            the last key must be there; if the last is not, it is added at the end of its
            block.

    Raises:
        InputError: If that cannot be done without changing another value, because the file
            has references (`&name`, `*name`). The message says what to write by hand.
    """
    for key, value in values.items():
        expected = _copied(yaml.load(text, Loader))  # noqa: S506 (it is a SafeLoader)
        block = expected
        for step in key[:-1]:
            block = block[step]
        block[key[-1]] = [*value] if _is_list(value) else value
        try:
            text = _set_value(text, key, value)
            changed = yaml.load(text, Loader)  # noqa: S506 (as above)
        except yaml.YAMLError:
            changed = None
        # `repr`, because 1, 1.0 and true are equal
        if repr(changed) != repr(expected):
            raise InputError(
                f"params.yaml: {'.'.join(key)} is part of a reference (&name, *name) or "
                f"has an unusual form; set it by hand to {written(value)}"
            )
    return text


def written(value: Any) -> str:
    """Return a value as it is written in params.yaml, so that it is read as the same."""
    if _is_list(value):
        return f"[{', '.join(map(written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):  # 1e-09 without a point is text to some readers
        return re.sub(r"^(-?\d+(?:\.\d+)?)e([-+])0?", _with_point, repr(value))
    if isinstance(value, int):
        return str(value)
    if re.fullmatch(r"[A-Za-z]\w*", value) and yaml.load(value, Loader) == value:  # noqa: S506
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def _with_point(found: re.Match[str]) -> str:
    digits, sign = found.groups()
    return f"{digits}{'' if '.' in digits else '.0'}e{sign}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _copied(content: Any) -> Any:
    """Copy each mapping and list, so that no two references are to the same one."""
    if isinstance(content, dict):
        return {key: _copied(value) for key, value in content.items()}
    return [*map(_copied, content)] if isinstance(content, list) else content


def _set_value(text: str, key: Key, value: Any) -> str:
    node: Any = yaml.compose(text, yaml.SafeLoader)
    for step in key[:-1]:
        node = _entries(node)[step]
    old = _entries(node).get(key[-1])
    if old is None:
        return _insert(text, node, f"{key[-1]}: {written(value)}")
    is_list = isinstance(old, yaml.SequenceNode) and _is_list(value)
    if not is_list or len(old.value) != len(value):
        return _replace(text, old, value)
    for part, new in reversed([*zip(old.value, value, strict=True)]):
        text = _replace(text, part, new)  # each keeps its line and its comment
    return text


def _entries(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    return {name.value: value for name, value in node.value}


def _replace(text: str, node: yaml.Node, value: Any) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    new = written(value)
    quote = text[start:end][:1]
    if new == value and quote in ("'", '"'):
        new = f"{quote}{value}{quote}"
    if start == end:  # nothing was written after the colon
        new = f" {new}"
    return f"{text[:start]}{new}{text[end:]}"


def _insert(text: str, block: yaml.MappingNode, entry: str) -> str:
    """Add an entry at the end of a block."""
    if not block.value:  # {}
        at = block.start_mark.index + 1
        return f"{text[:at]}{entry}{text[at:]}"
    first, last = block.value[0][0], _last(block.value[-1][1])
    at = last.end_mark.index
    if block.flow_style:
        return f"{text[:at]}, {entry}{text[at:]}"
    line_end = re.search(r"\r?\n", text)
    newline = line_end[0] if line_end else "\n"
    rest = re.compile(r"[^\r\n]*").match(text, at)  # such as a comment
    at = rest.end() if rest else at
    return f"{text[:at]}{newline}{' ' * first.start_mark.column}{entry}{text[at:]}"


def _last(node: Any) -> Any:
    """Return the last node in a node: a block itself ends after the comments below it."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _last(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return _last(node.value[-1])
    return node
