"""Files that are read must be files: no FIFO, no device, no text without an end."""

import stat
from pathlib import Path

LONGEST = 10_000_000  # characters of a text; the longest of the project's has some 20,000

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def file(path: Path) -> Path:
    """Return `path`, if a regular file lies there, or a link to one.

    To open a FIFO is to wait for its writer, and a device may have no end. Raises
    `OSError` if nothing is there, `ValueError` if it is something else.
    """
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise ValueError(f"it is {_KINDS.get(kind, 'something else')}, not a file")
    return path


def text(path: Path, most: int = LONGEST, encoding: str = "utf-8") -> str:
    """Return a text file's content.

    Raises `OSError` if it can't be read, `ValueError` if it is no regular file, longer than
    `most` characters, or no UTF-8.
    """
    with file(path).open(encoding=encoding) as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is longer than {most:,} characters")
    return content
