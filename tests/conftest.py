"""Generated data, and a project in which DVC has run on it."""

import fcntl
import os
import shutil
import sys
from dataclasses import replace

import hypothesis
import pytest
from playwright.sync_api import sync_playwright

from digits import commands
from digits.data import dataset
from digits.data.dataset import Dataset
from digits.data.registry import DATASETS
from tests.helpers.firefox import Firefox
from tests.helpers.project import ROOT, Project, generate, make

# The same examples each time, and no deadline, which a busy machine would miss.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")

# Depends on the user's parameters and data: only tests marked `results` may read it.
USER_FILES = tuple(
    str(ROOT / name) for name in ("params.yaml", "dvc.lock", "data/", "metrics/", "report/")
)
RESULTS = """\
This test checks the results of this repository's own parameters: README.md, docs/,
metrics/ and the outputs of `make repro` on MNIST. With another params.yaml it fails
although the code is right. `make test` does not run it.
"""
# Fixtures that run DVC, open a browser or fill a disk.
LONG = {"fresh", "fresh_with_lenet5", "done", "chromium", "firefox", "shared", "disk"}
opened = set()


def note(event, arguments):
    """Record the user's files that are opened, under any spelling of their path."""
    if event == "open" and isinstance(arguments[0], str):
        if arguments[1] is None and not os.path.isabs(arguments[0]):  # noqa: PTH117
            return  # `os.open` relative to a folder, as in shutil.rmtree
        path = os.path.abspath(arguments[0])  # noqa: PTH100 (each file that is opened)
        if path.startswith(USER_FILES):
            opened.add(path)


sys.addaudithook(note)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests as `long` by their fixtures, for `make test-fast`."""
    for item in items:
        if LONG & {*item.fixturenames}:
            item.add_marker("long")
    if opened:
        names = ", ".join(sorted(opened))
        raise pytest.UsageError(f"a test module reads {names} when it is imported")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    opened.clear()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    """Fail a test that depends on the user's parameters or data."""
    if opened and not item.get_closest_marker("results"):
        names = ", ".join(sorted(opened))
        pytest.fail(f"reads {names}: use tests/params.yaml, or a project of `make`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Explain failures of tests of published results."""
    report = yield
    if report.failed and item.get_closest_marker("results"):
        report.sections.append(("what this test checks", RESULTS))
    return report


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    return generate(300, 120)


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command of `digits` here; return its status and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["digits", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            commands.main()
        return exit_.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def as_mnist(tiny, monkeypatch):
    """Register the checksums of the generated data as those of MNIST."""
    passed = replace(DATASETS["mnist"], sha256=dataset.checksums(tiny))
    monkeypatch.setitem(DATASETS, "mnist", passed)
    return tiny


@pytest.fixture(scope="session")
def fresh(tmp_path_factory, tiny) -> Project:
    """A project on the generated data before any run. Copy it before you change it."""
    return make(tmp_path_factory.mktemp("fresh") / "a path with spaces, ä and ☃", tiny)


@pytest.fixture
def fresh_with_lenet5(tmp_path, tiny) -> Project:
    """The same with the variant lenet5, which Keras trains."""
    return make(tmp_path / "project", tiny, lenet5=True)


@pytest.fixture(scope="session")
def done(tmp_path_factory, fresh) -> Project:
    """The same after `dvc repro` and a commit. Copy it before you change it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # shared by all workers: one runs it, the others wait
    shared = base / "shared"
    with (base / "shared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            project = fresh.copy(base / "running")
            project.repro()
            project.commit("Run")
            project.root.rename(shared)
    return Project(shared).copy(tmp_path_factory.mktemp("done") / "project")


def installed(names, package):
    """Return the path of a browser. Without one skip the test, but fail in CI."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        message = f"no {names[0]} to open the page with: install Debian's {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def chromium():
    """Start the installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = installed(names, "package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def firefox(tmp_path_factory):
    """Start the installed Firefox."""
    path = installed(("firefox-esr", "firefox"), "package `firefox-esr`")
    browser = Firefox(path, tmp_path_factory.mktemp("firefox") / "profile")
    yield browser
    browser.close()
