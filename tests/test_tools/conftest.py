"""What the tests of tools share."""

import pytest
from helpers.oracle import ROOT

FOLDER = ROOT / 'tools' / 'analysis_tools'


@pytest.fixture
def analysis_tools(monkeypatch):
    """Their folder, from which they can be imported."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return FOLDER
