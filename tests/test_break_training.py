"""A breakage of break_training.py shows in the first steps, before any loss tells."""

import math

import pytest
from break_training import BREAKAGES, run
from mmengine.registry import init_default_scope
from oracle import ROOT


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def test_only_crowds():
    found = run('only crowds', steps=2)
    assert found['things_p3'] == 0 and math.isnan(found['unguided_objects'])
    assert found['stuff_p3'] > 0


def test_every_breakage_is_in_the_docs():
    page = (ROOT / 'docs' / 'troubleshooting.md').read_text()
    assert [name for name in BREAKAGES if f'| {name} |' not in page] == []
