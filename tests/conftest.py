"""The generated data, and a project in which DVC has run on it."""

import hypothesis
import pytest
from tiny import Project, generate, make

from digits import dataset
from digits.dataset import Dataset

# The same examples each time, and no clock: a busy machine is no failure.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    return generate(300, 120)


@pytest.fixture
def as_mnist(tiny, monkeypatch):
    """Let the tiny data pass for MNIST."""
    monkeypatch.setattr(dataset, "MNIST_SHA256", dataset.checksums(tiny))
    return tiny


@pytest.fixture(scope="session")
def fresh(tmp_path_factory, tiny) -> Project:
    """The project on the tiny data, nothing run yet. Not to be changed: copy it."""
    return make(tmp_path_factory.mktemp("fresh") / "a path with spaces, ä and ☃", tiny)


@pytest.fixture(scope="session")
def done(tmp_path_factory, fresh) -> Project:
    """The same after `dvc repro` and a commit. Not to be changed: copy it."""
    project = fresh.copy(tmp_path_factory.mktemp("done") / "project")
    project.repro()
    project.commit("Run")
    return project
