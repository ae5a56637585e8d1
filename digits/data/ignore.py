"""What .dvcignore lists: files that are no part of the project, wherever they appear.

DVC leaves them out of every hash. So the readers of data, the guard of a stage's inputs
and `digits verify` must leave them out as well.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from digits.data import regular
from digits.errors import InputError


class Ignored:
    """Tells of a path whether .dvcignore lists it, or a folder that it is in."""

    def __init__(self, root: Path | None = None) -> None:
        """Read the list of the project at `root`, or of one that `root` is a folder of.

        Without a root, or without a list, nothing is ignored.
        """
        self._home = Path(os.path.abspath(root or ""))  # noqa: PTH100 (links stay as they are)
        lines: list[str] = []
        if root is not None:
            for folder in (self._home, *self._home.parents):
                if (path := folder / ".dvcignore").exists():
                    self._home, lines = folder, _lines(path)
                    break
        self._spec = GitIgnoreSpec.from_lines(line.strip() for line in lines)

    def __call__(self, path: Path, *, folder: bool = False) -> bool:
        """Tell whether to ignore a file, or a folder, whether or not it exists."""
        name = os.path.abspath(path)  # noqa: PTH100 (links stay as they are)
        relative = name.removeprefix(f"{self._home}{os.sep}")
        return self._spec.match_file(relative + "/" * folder)

    def files(self, folder: Path) -> Iterator[Path]:
        """Yield the files in a folder and in its folders, as DVC finds them.

        It follows a link to a file, but not a link to a folder. A pipe, or a link to
        nothing, is among them: DVC stops at it.
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
