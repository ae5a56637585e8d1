"""An image file that is in memory."""

from typing import NamedTuple


class Picture(NamedTuple):
    """The content of an image file.

    Attributes:
        name: What to call it in errors.
        content: Its bytes.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name
