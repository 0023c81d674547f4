"""Cheap breakages of break_training.py show in the first steps, before any loss tells."""

import pytest
from break_training import BREAKAGES, run
from mmengine.registry import init_default_scope
from oracle import ROOT


@pytest.mark.parametrize(
    ('name', 'things', 'unguided'),
    [('only crowds', False, None), ('scale_ranges of larger images', False, 1.0)],
)
def test_it_shows_in_the_log(name, things, unguided):
    init_default_scope('mmdet')
    found = run(name, steps=2)
    assert (found['things_p3'] > 0) == things
    assert found['stuff_p3'] > 0
    if unguided is not None:
        assert found['unguided_objects'] == unguided
    else:
        assert found['unguided_objects'] != found['unguided_objects']  # NaN: there are none


def test_every_breakage_is_in_the_docs():
    page = (ROOT / 'docs' / 'troubleshooting.md').read_text()
    assert [name for name in BREAKAGES if f'| {name} |' not in page] == []
