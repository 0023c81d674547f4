"""PQ with the true positions given: the rule, and the tool as a user types it."""

import runpy

import pytest
import torch
from helpers import tiny, tiny_inferencer, tiny_run

from mmpfcn.models.sampling import level_peaks

TOOL = 'analysis_tools/true_positions.py'


@pytest.mark.parametrize('labels', [[0, 1], [1, 1]])
def test_every_object_and_region_is_found_where_it_is(labels):
    rule = runpy.run_path(tiny_run.TOOLS / TOOL)['with_true_positions']
    model = tiny.build().eval()
    data = model.data_preprocessor(tiny.batch(tiny.sample(labels=labels)), training=False)
    head, samples = model.panoptic_head, data['data_samples']
    with torch.no_grad():
        levels, mask_feats = head(model.extract_feat(data['inputs']))
    targets = head.get_targets(levels, mask_feats, samples)
    found = level_peaks(rule(levels, targets), head.test_cfg)
    for peaks, level in zip(found, targets[0].levels, strict=True):
        best = peaks.labels[0, : len(level.objects)]
        assert sorted(best.tolist()) == sorted(targets[0].labels[level.objects].tolist())
        assert (peaks.scores[0, : len(level.objects)] > 0.5).all()
    regions = head.region_kernels(rule(levels, targets))[0]
    assert set(regions.labels.tolist()) == {tiny.STUFF, tiny.STUFF + 1, head.num_classes}


def test_two_rows(tmp_path):
    tiny_run.draw_data(tmp_path, train=1, val=2)
    tiny_run.write_config(tmp_path)
    weights = tiny_inferencer.write_checkpoint(tmp_path)
    output = tiny_run.run(TOOL, 'tiny.py', weights, cwd=tmp_path)
    rows = [line.split(' | ') for line in output.splitlines() if line.startswith('| ')]
    assert [row[0] for row in rows] == ['| positions and classes', '| found', '| given']
    assert all(0 <= float(cell.strip(' |')) <= 100 for row in rows[1:] for cell in row[1:])


def test_another_model_or_no_data_is_refused(tmp_path):
    tiny_run.write_config(tmp_path, 'other.py', model__panoptic_head__feature_encoder__out_channels=4)
    weights = tiny_inferencer.write_checkpoint(tmp_path)
    for options, message in (
        (('other.py', weights), 'belongs to another model than the config'),
        (('other.py', weights, '--cfg-options', 'val_dataloader=None'), 'has no val_dataloader'),
    ):
        output, _ = (process := tiny_run.start(TOOL, *options, cwd=tmp_path)).communicate(timeout=300)
        assert process.returncode == 2 and message in output and 'Traceback' not in output
