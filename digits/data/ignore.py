"""The rules of .dvcignore: files that are not part of the project, in any folder.

DVC leaves them out of every hash. So the readers of data, the guard of a stage's inputs
and `digits verify` must leave them out as well.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from pathspec import GitIgnoreSpec

from digits.data import regular
from digits.errors import InputError

# Files and folders of macOS, Windows, Synology's servers and programs that pack archives.
_OF_SYSTEM = {
    ".ds_store", "__macosx", ".appledouble", ".directory", "thumbs.db", "ehthumbs.db",
    "desktop.ini", "$recycle.bin", "system volume information", "@eadir", "#recycle",
    "lost+found",
}  # fmt: skip


def is_of_system(path: Path) -> bool:
    """Tell whether a file or a folder was made by a system, and has no data."""
    return path.name.lower() in _OF_SYSTEM or path.name.startswith("._")


def is_hidden(path: PurePath) -> bool:
    """Tell whether a part of a relative path begins with a dot, or is of a system."""
    return any(part.startswith(".") or is_of_system(Path(part)) for part in path.parts)


class Ignored:
    """Tells whether .dvcignore lists a path, or a folder that contains it."""

    def __init__(self, root: Path | None = None) -> None:
        """Read the rules of the project in `root`, or in the nearest folder above it.

        Without a root, or without a .dvcignore, nothing is ignored.

        Raises:
            InputError: If .dvcignore cannot be read.
        """
        self._home = Path(os.path.abspath(root or ""))  # noqa: PTH100 (does not resolve links)
        lines: list[str] = []
        if root is not None:
            for folder in (self._home, *self._home.parents):
                if (path := folder / ".dvcignore").exists():
                    self._home, lines = folder, _lines(path)
                    break
        self._spec = GitIgnoreSpec.from_lines(line.strip() for line in lines)

    def __call__(self, path: Path, *, folder: bool = False) -> bool:
        """Tell whether a file, or a folder, is ignored; it need not exist."""
        name = os.path.abspath(path)  # noqa: PTH100 (does not resolve links)
        relative = name.removeprefix(f"{self._home}{os.sep}")
        return self._spec.match_file(relative + "/" * folder)

    def files(self, folder: Path) -> Iterator[Path]:
        """Yield the files in a folder and all folders in it, as DVC finds them.

        A link to a file is followed, a link to a folder is not. A FIFO or a dangling link
        is yielded as well, because DVC fails at it.
        """
        for top, folders, names in os.walk(folder):
            here = Path(top)
            folders[:] = [name for name in folders if not self(here / name, folder=True)]
            for path in (here / name for name in names):
                if not self(path):
                    yield path


def _lines(path: Path) -> list[str]:
    try:
        return regular.text(path).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


NOTHING = Ignored()
