"""The mutations of `make test-hard` fit the code."""

import pytest

from tests.helpers.project import ROOT
from tests.stress.mutations import MUTATIONS


@pytest.mark.parametrize("path", sorted({path for path, *_ in MUTATIONS}))
def test_each_mutated_line_exists(path):
    text = (ROOT / path).read_text()
    assert not [old for name, old, *_ in MUTATIONS if name == path and text.count(old) != 1]
