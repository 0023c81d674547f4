"""In bfloat16 the network finds what it finds in float32; targets are in test_panoptic_fcn.py."""

import numpy as np
import pytest
import torch
from helpers import tiny
from mmdet.evaluation import INSTANCE_OFFSET
from torch import Tensor

from mmpfcn.evaluation import panoptic_quality as counting

NUM_CLASSES = tiny.NUM_THINGS + tiny.NUM_STUFF
SCENES = ([(4, 4, 36, 28), (54, 12, 90, 56)], [(12, 26, 48, 60), (60, 4, 84, 44)])
"""Boxes of the objects of two images of 64 x 96."""


def scene(boxes: list[tuple]) -> tuple[dict, Tensor]:
    """An image in which every class has a grey of its own, and its panoptic map."""
    item = tiny.sample((64, 96), boxes=boxes)
    sem_seg = item['data_samples'].gt_sem_seg.sem_seg
    grey = 25 * sem_seg.byte() + item['inputs'][:1] // 16
    item['inputs'] = grey.expand(3, -1, -1).contiguous()
    ids = sem_seg[0].clone()
    for number, (x1, y1, x2, y2) in enumerate(boxes, start=1):
        ids[y1:y2, x1:x2] += number * INSTANCE_OFFSET
    return item, ids


@pytest.fixture(scope='module')
def learned():
    """A model that knows its two images by heart, and these."""
    torch.manual_seed(0)
    scenes = [scene(boxes) for boxes in SCENES]
    model = tiny.build(test_cfg=dict(stuff_area_limit=64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    for _ in range(100):
        optimizer.zero_grad()
        sum(tiny.losses(model, *(item for item, _ in scenes)).values()).backward()
        optimizer.step()
    return model, scenes


def panoptic_quality(model: torch.nn.Module, scenes: list[tuple[dict, Tensor]]) -> float:
    """PQ in percent."""
    statistics = 0
    for item, ids in scenes:
        panoptic = tiny.predict(model, item)[0].pred_panoptic_seg
        pairs = counting.count_pairs(ids.numpy(), panoptic.sem_seg[0].numpy())
        truth = {i: counting.Segment(i % INSTANCE_OFFSET) for i in ids.unique().tolist()}
        found = {s['id']: counting.Segment(s['label']) for s in panoptic.segments_info}
        matching = counting.match_segments(*pairs, truth, found)
        statistics = statistics + counting.count_matching(matching, NUM_CLASSES)
    quality, seen = counting.mean_quality(counting.class_quality(np.asarray(statistics)))
    assert seen == 4  # two things, two stuff
    return 100 * float(quality[0])


def test_quality_and_precision(learned):
    model, scenes = learned
    expected = panoptic_quality(model, scenes)
    assert expected > 80
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert panoptic_quality(model, scenes) == pytest.approx(expected, abs=0.3)
    item = scenes[0][0]
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        data = model.data_preprocessor(tiny.batch(item))
        feats = model.extract_feat(data['inputs'])
        levels, mask_feats = model.panoptic_head(feats)
        assert {x.dtype for level in levels for x in level} == {torch.bfloat16}
        assert mask_feats.dtype == torch.bfloat16
        for found in sum(model.panoptic_head.predict(feats, data['data_samples']), []):
            assert len(found)
            for name in ('kernels', 'scores', 'mask_logits'):
                assert found[name].dtype == torch.float32, name
        assert tiny.predict(model, item)[0].pred_instances.scores.dtype == torch.float32
