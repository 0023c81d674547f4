"""Ground truth by look-up against the plain way and against mmdet's transform."""

import numpy as np
import pytest
import torch
from helpers import panoptic_files as files
from mmdet.evaluation import INSTANCE_OFFSET

LOAD = [dict(type='LoadImage'), dict(type='LoadPanopticGroundTruth', panoptic=True)]


@pytest.fixture
def loaded(tmp_path):
    return files.build(files.write(tmp_path), LOAD)[0]


def test_ground_truth(loaded):
    labels = {'.': 255, 'p': 0, 'q': 0, 'c': 1, 'g': 1, 's': 2, 'r': 3}
    expected = [[labels[cell] for cell in row] for row in files.ROWS]
    assert loaded['gt_seg_map'].tolist() == expected
    assert loaded['gt_seg_map'].dtype == np.uint8
    cells = np.array([list(row) for row in files.ROWS])
    order = [letter for letter in 'spqrcg' if letter in 'pqc']  # of the JSON
    assert loaded['gt_bboxes_labels'].tolist() == [0, 0, 1]
    assert loaded['gt_bboxes'].numpy().tolist() == [[2, 1, 4, 3], [4, 2, 6, 4], [6, 3, 8, 5]]
    assert loaded['gt_ignore_flags'].tolist() == [False] * 3
    for mask, letter in zip(loaded['gt_masks'].masks, order, strict=True):
        assert np.array_equal(mask, cells == letter)


def test_panoptic_ground_truth_reaches_the_data_sample(tmp_path):
    pipeline = [*LOAD, dict(type='PackPanopticInputs')]
    gt = files.build(files.write(tmp_path), pipeline)[0]['data_samples'].gt_panoptic_seg
    offset = INSTANCE_OFFSET
    codes = {'.': 255, 's': 2, 'r': 3, 'p': offset, 'q': 2 * offset, 'c': 1 + offset,
             'g': 1 + 2 * offset}  # fmt: skip
    assert gt.sem_seg.tolist() == [[[codes[cell] for cell in row] for row in files.ROWS]]
    assert gt.sem_seg.dtype == torch.int32 and gt.metainfo['ignore_index'] == 255
    infos = {info['id']: info for info in gt.segments_info}
    assert len(infos) == len(gt.segments_info) == 6
    crowd = dict(id=1 + 2 * offset, label=1, isthing=False, iscrowd=True, area=4)
    assert infos[1 + 2 * offset] == crowd
    assert infos[2] == dict(id=2, label=2, isthing=False, iscrowd=False, area=18)


def test_equal_to_mmdet_on_photos():
    """Where mmdet's way is right: COCO, whose JSON has things first and names PNGs as images."""
    resize = [
        dict(type='Resize', scale=(333, 200), keep_ratio=True),
        dict(type='RandomFlip', prob=1.0),
        dict(type='Pad', size_divisor=32),
    ]
    stock, ours = (
        files.coco(*(dict(type=x) for x in load), *resize, kind=kind, test_mode=True, indices=25)
        for kind, *load in (
            ('CocoPanopticDataset', 'LoadImageFromFile', 'LoadPanopticAnnotations'),
            ('PanopticDataset', 'LoadImage', 'LoadPanopticGroundTruth'),
        )
    )
    assert ours.metainfo['classes'] == stock.metainfo['classes']
    assert [*map(tuple, ours.metainfo['palette'])] == [*map(tuple, stock.metainfo['palette'])]
    for i in range(25):
        a, b = stock[i], ours[i]
        assert np.array_equal(a['img'], b['img']) and a['seg_map_path'] == b['seg_map_path']
        assert np.array_equal(a['gt_seg_map'], b['gt_seg_map'])
        assert np.array_equal(a['gt_masks'].masks, b['gt_masks'].masks)
        assert np.array_equal(a['gt_bboxes_labels'], b['gt_bboxes_labels'])
        assert torch.equal(a['gt_bboxes'].tensor, b['gt_bboxes'].tensor)
