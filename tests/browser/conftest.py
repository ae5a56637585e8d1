"""The page of a project, which the tests of a module share."""

import pytest

from tests.helpers.browser import MNIST, opened, opened_in_firefox
from tests.helpers.project import ROOT


@pytest.fixture(scope="module", params=["tiny", MNIST])
def root(request):
    """The folder of a project after a run."""
    if request.param == "tiny":
        return request.getfixturevalue("done").root
    assert (ROOT / "report/index.html").is_file(), "run `make repro` first"
    return ROOT


BROWSERS = ["chromium", pytest.param("firefox", marks=pytest.mark.firefox)]


@pytest.fixture(scope="module", params=BROWSERS)
def shared(request, root):
    """A page that all tests of the module share; each starts from its initial view."""
    if request.param == "firefox":
        with opened_in_firefox(request.getfixturevalue("firefox"), root) as page:
            yield page
        return
    with opened(request.getfixturevalue("chromium"), root) as page:
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
