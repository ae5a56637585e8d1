"""Errors that the user can fix."""


class InputError(Exception):
    """Something given to the pipeline is wrong: a parameter, a file, a source.

    The message says what is wrong, where, and what to do; a stage prints it
    without a traceback and exits with status 1.
    """
