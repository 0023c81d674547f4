"""Targets by small drawn examples."""

import numpy as np
import pytest
import torch
from helpers.oracle import boxes_around
from mmengine.structures import InstanceData

from mmpfcn import PanopticFCNAssigner
from mmpfcn.structures import SegmentMasks

RANGES = ((1, 64), (32, 128), (64, 256), (128, 512), (256, 2048))
SIZES = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]  # of an input of 128 x 192
VOID, THINGS, STUFF = 255, 2, 3


def assign(*boxes, labels=None, sem_seg=None, shape=(128, 192), **settings):
    masks = torch.zeros(len(boxes), *shape, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    labels = torch.tensor(labels or [0] * len(boxes), dtype=torch.long)
    instances = InstanceData(masks=masks, labels=labels, bboxes=boxes_around(masks))
    sem_seg = torch.full(shape, VOID) if sem_seg is None else sem_seg
    assigner = PanopticFCNAssigner(THINGS, STUFF, RANGES, **settings)
    return assigner.assign(instances, sem_seg, SIZES, (32, 48))


@pytest.mark.parametrize(
    'side, levels', [(8, [0]), (31, [0]), (32, [0, 1]), (64, [0, 1, 2]), (65, [1, 2]), (128, [1, 2, 3])]
)
def test_levels_by_size(side, levels):
    targets = assign((0, 0, side, side))
    assert [i for i, level in enumerate(targets.levels) if len(level.objects)] == levels


def test_the_centre_of_each_object():
    """40 x 40 pixels at (40, 60): mean cell of the mask (14.5, 19.5) / 48 * 24 is cell (7, 9)."""
    centers = assign((40, 60, 80, 100), labels=[1]).levels[0].centers
    assert centers[0].max() == 0
    assert (centers[1] == 1).nonzero().tolist() == [[9, 7]]
    one = assign((40, 60, 80, 100)).levels[0].centers
    other = assign((56, 60, 96, 100)).levels[0].centers
    both = assign((40, 60, 80, 100), (56, 60, 96, 100)).levels[0].centers
    assert torch.equal(both, torch.maximum(one, other))
    targets = assign((0, 0, 1, 1), (40, 60, 80, 100), labels=[0, 1])
    assert targets.labels.tolist() == [1]
    assert [level.objects.tolist() for level in targets.levels[:2]] == [[0], [0]]
    assert targets.levels[0].centers[0].eq(0).all()


def test_regions():
    sem_seg = torch.full((128, 192), VOID)
    sem_seg[:64] = THINGS + 1  # a stuff class
    sem_seg[64:, :96] = 1  # things, or a crowd, without an instance
    targets = assign(sem_seg=sem_seg)
    assert targets.region_channels.tolist() == [1, STUFF]  # "any thing" is the last
    regions = targets.levels[0].regions
    assert regions[1, :8].eq(1).all() and regions[1, 9:].eq(0).all()
    assert regions[STUFF, 9:, :11].eq(1).all() and regions[STUFF, :, 13:].eq(0).all()
    assert regions[:, 9:, 13:].eq(0).all()  # void is negative for every class
    assert targets.levels[0].region_rows.tolist() == [0, 1]
    # Levels sample the map of stride 4 without antialiasing. The middle (48, 48) of the square is
    # a corner of four P4 cells, each sampled at a corner of the square (0.25 < 0.5: absent), and
    # the centre of a P5 cell (1: present).
    sem_seg = torch.full((128, 192), VOID)
    sem_seg[40:56, 40:56] = THINGS
    targets = assign(sem_seg=sem_seg)
    assert [len(level.region_rows) for level in targets.levels] == [1, 0, 1, 0, 0]
    sem_seg = torch.full((128, 192), VOID)
    sem_seg[:64, :96], sem_seg[:64, 96:], sem_seg[64:] = 0, 1, THINGS + 2
    apart = assign(sem_seg=sem_seg, separate_thing_regions=True)
    # channels: three stuff classes, then two thing classes
    assert apart.region_channels.tolist() == [2, 3, 4]
    regions = apart.levels[0].regions
    assert regions.shape == (STUFF + THINGS, *SIZES[0])
    assert regions.flatten(1).sum(1).tolist() == [0, 0, 8 * 24, 8 * 12, 8 * 12]
    together = assign(sem_seg=sem_seg).levels[0].regions
    assert torch.equal(together[-1], regions[3] + regions[4])


def test_masks_at_stride_4_and_of_a_map():
    """A 100 x 150 image in a canvas of 128 x 192."""
    targets = assign((0, 0, 150, 100), sem_seg=torch.full((100, 150), THINGS), shape=(100, 150))
    assert targets.masks[0, :25, :38].eq(1).all()
    assert targets.masks[0, 25:].eq(0).all() and targets.masks[0, :, 38:].eq(0).all()
    assert targets.region_masks[0, :25, :38].eq(1).all()
    boxes = [(i, i, i + 30, i + 30) for i in range(70)]  # more than a chunk of 32
    assert torch.equal(assign(*boxes).masks[-1], assign(boxes[-1]).masks[0])
    index_map = np.zeros((126, 190), np.uint16)
    for value, (x1, y1, x2, y2) in enumerate([(0, 0, 90, 50), (50, 20, 99, 126), (7, 7, 8, 8)], 2):
        index_map[y1:y2, x1:x2] = value
    masks = SegmentMasks(index_map, [3, 9, 2, 4])  # without pixels: 9; vanishes at stride 4: 4
    gt = InstanceData(labels=torch.tensor([1, 0, 1, 0]), bboxes=masks.get_bboxes().tensor)
    assigner = PanopticFCNAssigner(THINGS, STUFF, RANGES)
    sem_seg = torch.full((126, 190), VOID)
    targets = []
    for gt.masks in (masks, masks.to_tensor(torch.uint8, 'cpu')):
        targets.append(assigner.assign(gt, sem_seg, SIZES, (32, 48)))
    ours, golden = targets
    assert ours.labels.tolist() == golden.labels.tolist() == [1, 1]
    torch.testing.assert_close(ours.masks, golden.masks, rtol=0, atol=1e-7)
    for level, expected in zip(ours.levels, golden.levels, strict=True):
        assert torch.equal(level.objects, expected.objects)
        assert torch.equal(level.centers, expected.centers)
