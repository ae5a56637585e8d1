"""Errors that the user can fix, and how text of any origin is printed in one."""

import unicodedata

# Control characters, ends of lines, bytes of a file's name that are no UTF-8; and what
# turns the direction of the text after it. A terminal would obey them.
_CATEGORIES = {"Cc", "Zl", "Zp", "Cs"}
_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


class InputError(Exception):
    """Something given to the pipeline is wrong: a parameter, a file, a source.

    The message says what is wrong, where, and what to do; a stage prints it
    without a traceback and exits with status 1.
    """


def printable(text: str, *, keep: str = "") -> str:
    """Return text with the escape of each character that a terminal would obey.

    keep: characters that stay, such as the end of a line
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
