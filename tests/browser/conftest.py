"""The page of a project, which the tests of a module share."""

import pytest

from tests.helpers.browser import MNIST, opened
from tests.helpers.project import ROOT


@pytest.fixture(scope="module", params=["tiny", MNIST])
def root(request):
    """The folder of a project after a run."""
    if request.param == "tiny":
        return request.getfixturevalue("done").root
    assert (ROOT / "report/index.html").is_file(), "run `make repro` first"
    return ROOT


@pytest.fixture(scope="module")
def shared(chromium, root):
    """A page that all tests of the module share; each starts from its initial view."""
    with opened(chromium, root) as page:
        yield page
        assert page.seen == []  # after all tests of the module


@pytest.fixture
def page(shared):
    """Return the shared page in its initial view."""
    shared.evaluate(
        "history.replaceState(null, '', location.pathname);"
        " dispatchEvent(new HashChangeEvent('hashchange'))"
    )
    return shared
