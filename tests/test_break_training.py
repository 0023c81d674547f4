"""A breakage of break_training.py shows in the first steps, before any loss tells."""

import math

import pytest
import torch
from break_measuring import TESTS, measured
from break_training import BREAKAGES, run
from helpers import tiny, tiny_run
from helpers.oracle import ROOT
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


def test_only_crowds_and_the_docs():
    found = run('only crowds', steps=2)
    assert found['things_p3'] == 0 and math.isnan(found['unguided_objects'])
    assert found['stuff_p3'] > 0
    page = (ROOT / 'docs' / 'troubleshooting.md').read_text()
    assert [name for name in [*BREAKAGES, *TESTS] if f'| {name} ' not in page] == []


def test_png_resized_with_interpolation(tmp_path, monkeypatch):
    """With weights that learned nothing: the warning tells, not the figures."""
    monkeypatch.chdir(tmp_path)  # and back at the end
    tiny_run.draw_data(tmp_path, train=2, val=1)
    (tmp_path / 'run').mkdir()
    torch.save(tiny.build().state_dict(), tmp_path / 'run' / 'iter_0.pth')
    with pytest.warns(UserWarning, match='pixels have ids without a segment in the JSON'):
        figures = measured(tmp_path, 'PNGs resized with interpolation')
    assert figures.keys() == {'PQ', 'PQ_th', 'SQ_th', 'RQ_th', 'PQ_st', 'mIoU'}
