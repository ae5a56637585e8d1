"""Reading only regular files of limited length: no FIFO, no device, no endless text."""

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
    """Return `path` if it is a regular file, or a link to one.

    Opening a FIFO would wait for its writer, and a device may have no end.

    Raises:
        OSError: If nothing is there.
        ValueError: If it is something else.
    """
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise ValueError(f"it is {_KINDS.get(kind, 'something else')}, not a file")
    return path


def text(path: Path, most: int = LONGEST, encoding: str = "utf-8") -> str:
    """Return a text file's content.

    Args:
        path: The file.
        most: How many characters it may have.
        encoding: Its encoding.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not a regular file, is too long, or has another encoding.
    """
    with file(path).open(encoding=encoding) as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is longer than {most:,} characters")
    return content
