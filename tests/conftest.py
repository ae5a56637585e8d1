"""The generated data, and a project in which DVC has run on it."""

import os
import shutil
from dataclasses import replace

import hypothesis
import pytest
from playwright.sync_api import sync_playwright
from tiny import Project, generate, make

from digits.data import dataset
from digits.data.dataset import Dataset
from digits.data.registry import KNOWN

# The same examples each time, and no clock: a busy machine is no failure.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    return generate(300, 120)


@pytest.fixture
def as_mnist(tiny, monkeypatch):
    """Let the tiny data pass for MNIST."""
    passed = replace(KNOWN["mnist"], sha256=dataset.checksums(tiny))
    monkeypatch.setitem(KNOWN, "mnist", passed)
    return tiny


@pytest.fixture(scope="session")
def fresh(tmp_path_factory, tiny) -> Project:
    """The project on the tiny data, nothing run yet. Not to be changed: copy it."""
    return make(tmp_path_factory.mktemp("fresh") / "a path with spaces, ä and ☃", tiny)


@pytest.fixture
def fresh_with_lenet5(tmp_path, tiny) -> Project:
    """The same with the variant that Keras trains."""
    return make(tmp_path / "project", tiny, lenet5=True)


@pytest.fixture(scope="session")
def done(tmp_path_factory, fresh) -> Project:
    """The same after `dvc repro` and a commit. Not to be changed: copy it."""
    project = fresh.copy(tmp_path_factory.mktemp("done") / "project")
    project.repro()
    project.commit("Run")
    return project


@pytest.fixture(scope="session")
def chromium():
    """Start the Chromium that is installed. Without one: skip, but fail in CI."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        message = "no Chromium to open the page in: install Debian's package `chromium`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
