import numpy as np
import pytest
import torch
from helpers.panoptic_files import coco
from mmdet.datasets import CocoDataset
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData

from mmpfcn.visualization.ground_truth import from_map, from_objects, from_png, thing_labels


def sample_of(masks, labels, sem_seg=None):
    sample = DetDataSample()
    sample.gt_instances = InstanceData(masks=masks, labels=torch.tensor(labels, dtype=torch.long))
    if sem_seg is not None:
        sample.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(np.array(sem_seg, np.uint8))[None])
    return sample


def test_objects_with_and_without_a_semantic_map():
    """Label 0 is a thing, 1 is stuff: an object, a crowd, stuff and void."""
    masks = BitmapMasks(np.array([[[1, 0, 0, 0, 0]], [[0, 1, 0, 0, 0]]], np.uint8), 1, 5)
    ids, segments = from_objects(sample_of(masks, [0, 0], [[0, 0, 0, 1, 255]]), {0})
    by_id = {segment.id: (segment.label, segment.crowd) for segment in segments}
    found = [by_id.get(value) for value in ids[0].tolist()]
    assert found == [(0, False), (0, False), (0, True), (1, False), None]
    assert ids[0, 0] != ids[0, 1] and [segment.crowd for segment in segments][-1]
    # As of a data set of instances, with outlines.
    masks = PolygonMasks([[np.array([0.0, 0, 4, 0, 4, 4, 0, 4])]], 4, 8)
    ids, segments = from_objects(sample_of(masks, [3]), set(range(80)))
    assert len(segments) == 1 and segments[0].label == 3 and not segments[0].crowd
    assert np.array_equal(ids == segments[0].id, np.arange(8)[None].repeat(4, 0) < 4)
    ids, segments = from_objects(sample_of(BitmapMasks([], 2, 3), [], np.full((2, 3), 255)), {0})
    assert ids.shape == (2, 3) and segments == []
    assert thing_labels(dict(classes=('a', 'b', 'c'), thing_classes=('c', 'a'))) == {0, 2}
    assert thing_labels(CocoDataset.METAINFO) == set()


def partition(truth):
    """Each segment's label, crowd flag and pixels."""
    ids, segments = truth
    return {(s.label, s.crowd, (ids == s.id).tobytes()) for s in segments if (ids == s.id).any()}


@pytest.mark.parametrize('split', ['train', 'val'])
def test_every_form_is_the_same_on_photos(split):
    """The PNG, the map of PackPanopticInputs, and objects on the semantic map."""
    load = dict(type='LoadPanopticGroundTruth', panoptic=True)
    dataset = coco(load, dict(type='PackPanopticInputs'), split=split, indices=30)
    things = thing_labels(dataset.metainfo)
    assert things == set(range(80))
    crowds = 0
    for data in dataset:
        sample = data['data_samples']
        truth = from_png(sample.seg_map_path, sample.segments_info, things)
        expected = partition(truth)
        crowds += sum(crowd for _, crowd, _ in expected)
        assert partition(from_objects(sample, things)) == expected
        assert partition(from_map(sample.gt_panoptic_seg)) == expected
    assert crowds > 0
