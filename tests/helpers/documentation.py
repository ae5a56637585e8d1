"""The pages of the documentation, and the commands on them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.project import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted(
        [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("published/README.md")]
    )
}
COMMANDS = ("bash", "console")  # languages of blocks that hold commands
OTHER = ("json", "mermaid", "python", "text", "yaml")  # and of those that hold none
PROGRAMS = ("digits", "dvc", "git", "make", "pytest", "python", "uv")
BLOCK = re.compile(
    r"(?m)^(?:<!-- not run: (?P<reason>.+) -->\n)?"
    r"(?:```(?P<language>\w*)\n(?P<text>(?:(?!```).*\n)*)```$"
    r"|(?P<table>(?:\|.*\n)+))"
)


@dataclass(frozen=True)
class Block:
    """A block or a table on a page.

    Attributes:
        page: the page's path from the root.
        line: where it begins, from 1.
        language: of the block; "table" for a table.
        commands: lines for a shell; empty if it holds none.
        shown: for each command, the lines of its output that the page shows.
        reason: why the commands are not run; None if they are.
    """

    page: str
    line: int
    language: str
    commands: tuple[str, ...]
    shown: tuple[tuple[str, ...], ...]
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """Return the blocks and tables on a page, in their order."""
    found = []
    for match in BLOCK.finditer(PAGES[page]):
        language, text, table = match["language"], match["text"], match["table"]
        shown: list[tuple[str, ...]] = []
        if table:  # only a table of commands is run; others may name some
            commands = spans(table) if "| command |\n" in table else []
        elif language == "console":
            parts = [part.splitlines() for part in re.split(r"(?m)^\$ ", text)[1:]]
            commands = [command for command, *_ in parts]
            shown = [tuple(lines) for _, *lines in parts]
        elif language == "bash":
            commands = text.replace("\\\n", " ").splitlines()
        else:
            commands = []
        language = language or "table" * bool(table)
        line = PAGES[page].count("\n", 0, match.start()) + 1
        shown = shown or [()] * len(commands)
        found.append(Block(page, line, language, (*commands,), (*shown,), match["reason"]))
    return found


def spans(text: str) -> list[str]:
    """Return the commands among the code spans of a text."""
    codes = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    return [code for code in codes if re.match(rf"({'|'.join(PROGRAMS)}) \S", code)]


def named(page: str) -> list[str]:
    """Return all commands that a page names: in blocks, in tables and in its text."""
    text = re.sub(r"(?ms)^```.*?^```$", "", PAGES[page])
    in_blocks = [command for block in blocks(page) for command in block.commands]
    return [*dict.fromkeys([*in_blocks, *spans(text)])]


def simple(command: str) -> list[list[str]]:
    """Split a line at the shell's operators; return the words of each command.

    A file to which the output goes is left out.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word == ">":
            next(lexer)
        elif set(word) <= set("&|;"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
