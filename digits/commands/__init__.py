"""The command `digits`: a module for each of its subcommands.

A module has `EXAMPLES`, the end of its help; `STATUS`, the exit status after a user's
mistake; `ANYWHERE` if it needs no project; `add_arguments(parser)`; and `main(arguments)`,
which returns the exit status. Only the module of the subcommand that runs is imported.
"""

from digits import start

start.begin(2)

import argparse  # noqa: E402 (after the check of streams and memory)
import sys  # noqa: E402
from collections.abc import Collection  # noqa: E402
from importlib import import_module, metadata  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from digits.config import cli  # noqa: E402
from digits.errors import InputError  # noqa: E402

COMMANDS = {
    "inspect": "show what would be read from your own data, before anything runs",
    "predict": "classify images with the trained models",
    "export": "write a trained model as ONNX, Keras or joblib",
    "compare": "show what changed between two commits, as Markdown",
    "tune": "choose parameters by cross-validation on the training images",
    "experiments": "list experiments with their changed parameters and metrics",
    "remove": "remove a variant or a subset, with all its files",
    "verify": "compare all results and the cache with dvc.lock; repair them",
    "unlock": "repair dvc.lock after a kill or a merge conflict",
}
COMPLETION = "print a script that completes `digits` in a shell"
COMPLETION_HELP = """\
examples:
  digits completion bash > ~/.local/share/bash-completion/completions/digits
  digits completion zsh > ~/.zfunc/_digits      (a folder of your $fpath)
  digits completion fish > ~/.config/fish/completions/digits.fish
"""


def build_parser(loaded: Collection[str]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        loaded: The subcommands whose arguments are added; their modules are imported.
    """
    parser = argparse.ArgumentParser(
        prog="digits",
        description="Commands for this pipeline, in addition to those of DVC.",
        epilog="Run `digits COMMAND --help` for details and examples.",
    )
    parser.add_argument(
        "--version", action="version", version=f"digits {metadata.version('digits')}"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = _module(name) if name in loaded else None
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=module and module.__doc__,
            epilog=module and module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module:
            module.add_arguments(subparser)
    completion = subparsers.add_parser(
        "completion",
        help=COMPLETION,
        description=f"{COMPLETION[0].upper()}{COMPLETION[1:]}.",
        epilog=COMPLETION_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=("bash", "fish", "tcsh", "zsh"))
    return parser


def main() -> None:
    """Run a subcommand, and exit with its status."""
    arguments = build_parser(sys.argv[1:2]).parse_args()
    if arguments.command == "completion":
        import shtab  # noqa: PLC0415 (only here)

        with cli.reporting(2):
            print(shtab.complete(build_parser(COMMANDS), arguments.shell))
        return
    module = _module(arguments.command)
    with cli.reporting(module.STATUS):
        root = getattr(arguments, "root", Path())
        is_project = any((root / name).exists() for name in ("params.yaml", "dvc.yaml"))
        if not is_project and not hasattr(module, "ANYWHERE"):
            raise InputError(
                f"{root.resolve()}: has no params.yaml; change to the project's folder"
                + (", or name it with --in" if "root" in arguments else "")
            )
        sys.exit(module.main(arguments))


def _module(name: str) -> Any:
    return import_module(f"digits.commands.{name}")
