"""Each command in the documentation exists, and runs, or it says why it does not."""

import contextlib
import io
import re
import subprocess

import numpy as np
import pytest
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from PIL import Image

from digits import commands
from tests.helpers import documentation
from tests.helpers.documentation import COMMANDS, OTHER, PAGES
from tests.helpers.project import ROOT

QUICK = ("docs/cache.md", "docs/data.md")  # they train nothing
# Commands that show metrics: on the small project, the page's edits change none.
OTHER_OUTPUT = (
    "dvc metrics diff",
    "digits compare --tolerance 0.001",
    "digits compare --variants one_vs_rest multinomial",
)
ANYTHING = {
    *(
        ".",
        "apt",
        "apt-get",
        "cd",
        "cp",
        "dask",
        "dpkg",
        "helm",
        "kill",
        "kubectl",
        "mkdir",
        "openssl",
    ),
    *("rm", "ssh", "unset", "uv"),
}  # not ours


def parse(parser, arguments):
    """Parse the arguments of a command; without options, its own may be left out."""
    bare = not any(word.startswith("-") for word in arguments)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse_args([*arguments, "--help"] if bare else arguments)
        except SystemExit as stopped:
            if stopped.code:
                raise AssertionError(f"wrong arguments: {arguments}") from stopped


def check_digits(*arguments):
    parse(commands.build_parser(arguments[:1]), arguments)


def check_dvc(*arguments):
    if arguments[0] == "--cd":
        arguments = arguments[2:]
    if arguments != ("…",):
        parse(get_main_parser(), arguments)


def check_git(command, *_):
    known = subprocess.run(
        ["git", "--list-cmds=main"], capture_output=True, text=True, check=True
    )
    assert command in known.stdout.split(), f"git has no {command}"


def check_make(*arguments):
    makefile = "".join(
        path.read_text() for path in (ROOT / "Makefile", *ROOT.glob("*/*.mk"))
    )
    for target in arguments:
        if "=" not in target:
            assert re.search(rf"(?m)^{target}:", makefile), f"make has no target {target}"


def check_pytest(*arguments):
    for argument in arguments:
        if argument.startswith("tests/"):
            assert (ROOT / argument).is_file(), f"there is no {argument}"


def check_python(*arguments):
    if arguments[0] == "-m":
        path, rest = ROOT / f"{arguments[1].replace('.', '/')}.py", arguments[2:]
    else:
        path, rest = ROOT / arguments[0], arguments[1:]
    assert path.is_file(), f"there is no {path}"
    for option in rest:
        if option.startswith("--"):
            assert f'"{option}"' in path.read_text(), f"{path} has no {option}"


CHECKS = {
    "digits": check_digits,
    "dvc": check_dvc,
    "git": check_git,
    "make": check_make,
    "pytest": check_pytest,
    "python": check_python,
}


def check(line):
    """Raise unless a line names only programs, subcommands, options and files there are."""
    for program, *arguments in documentation.simple(line):
        if program not in ANYTHING:
            CHECKS[program](*arguments)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_exists(page):
    for line in documentation.named(page):
        check(line)


@pytest.mark.parametrize(
    "wrong",
    [
        "make repo",
        "dvc metrics dif",
        "dvc repro --puls",
        "digits predit seven.jpg",
        "digits compare --tolerence 1",
        "python -m stages.choose",
        "python benchmarks/response_time.py --round 5",
        "pytest tests/test_metrics.py",
        "git chekout . && dvc checkout",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(wrong):
    with pytest.raises((AssertionError, DvcParserError)):
        check(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_names_its_language(page):
    for block in documentation.blocks(page):
        assert block.language in ("table", *COMMANDS, *OTHER), f"{block} has no language"


def draw(path):
    """Write an image of a diagonal stroke."""
    pixels = np.full((80, 80), 230, np.uint8)
    for i in range(20, 60):
        pixels[i, i - 4 : i + 4] = 20
    Image.fromarray(pixels).save(path)


def prepare(page, project):
    """Do what a page asks the reader to do in words."""
    if page == "README.md":
        project.edit("threshold: 0.49", "threshold: 0.3")
        draw(project.root / "seven.jpg")
        draw(project.root / "three.png")
    elif page == "docs/data.md":
        (project.root / "data/own/mine").mkdir()
        draw(project.root / "data/own/mine/1.png")


def shape(line):
    """Return a line without what depends on the data: numbers, lengths, LeNet-5."""
    line = re.sub(r"-?\d[\d.]*(e-\d+)?", "N", line.replace("lenet5", ""))
    return re.sub(r"\b(N(?: (?:to|or) N)?)( \1\b)+", r"\1", " ".join(line.split()))


def run(page, project):
    """Run the commands of a page one after the other, but for those marked `not run`.

    They must print what the page shows, whatever the numbers.
    """
    prepare(page, project)
    for block in documentation.blocks(page):
        if block.reason is not None:
            continue
        for line, shown in zip(block.commands, block.shown, strict=True):
            result = project.run("bash", "-c", line, check=False)
            assert not result.returncode, f"{block}: {line}\n{result.stderr}"
            assert "Traceback" not in result.stderr
            printed = f"{result.stdout}\n{result.stderr}".splitlines()
            if line not in OTHER_OUTPUT:
                missing = {*map(shape, shown)} - {*map(shape, printed)} - {"…", ""}
                assert not missing, f"{block}: {line} does not print {missing}"


def run_pages():
    """Return the pages with commands to run, those that run for seconds as slow tests."""
    return [
        page if page in QUICK else pytest.param(page, marks=pytest.mark.slow)
        for page in PAGES
        if any(block.commands and not block.reason for block in documentation.blocks(page))
    ]


@pytest.mark.parametrize("page", run_pages())
def test_the_commands_of_a_page_run(page, done, tmp_path):
    run(page, done.copy(tmp_path / "project"))


def test_a_reason_is_given_in_front_of_what_it_is_for():
    """A comment that belongs to no block would leave the block unmarked."""
    for page, text in PAGES.items():
        marked = sum(block.reason is not None for block in documentation.blocks(page))
        assert text.count("<!-- not run") == marked, page
