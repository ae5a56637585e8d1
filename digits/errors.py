"""Errors that the user can fix, and safe printing of text from any origin."""

import unicodedata

# Control characters, line ends, bytes of a file's name that are not UTF-8, and characters
# that change the direction of text. A terminal would act on them.
_CATEGORIES = {"Cc", "Zl", "Zp", "Cs"}
_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


class InputError(Exception):
    """Invalid input: a parameter, a file, a source.

    The message says what is wrong, where, and what to do. A stage prints it without a
    traceback and exits with status 1.
    """


def printable(text: str, *, keep: str = "") -> str:
    """Return text in which each character that controls a terminal is escaped.

    Args:
        text: From any origin.
        keep: Characters that are not escaped, such as line ends.
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if letter not in keep
        and (
            unicodedata.category(letter) in _CATEGORIES
            or unicodedata.bidirectional(letter) in _DIRECTIONS
        )
        else letter
        for letter in text
    )
