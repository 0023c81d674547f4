"""Segments, instances and maps of one image."""

import json

import numpy as np
import pytest
from helpers import tiny, tiny_inferencer
from helpers.onnx_model import IDS
from helpers.tiny_inferencer import picture
from pycocotools import mask as coco_mask

from mmpfcn import PanopticResult
from mmpfcn.structures import Tracker


def test_segments_and_instances(inferencer):
    result = inferencer(picture())['predictions'][0]
    assert np.array_equal(result.image, picture()[..., ::-1])
    assert result.panoptic_seg.dtype == np.int32
    assert {0, *(s['id'] for s in result.segments_info)} == set(np.unique(result.panoptic_seg))
    kinds = [s['isthing'] for s in result.segments_info]
    assert kinds == sorted(kinds, reverse=True) and len(set(kinds)) == 2
    for segment in result.segments_info:
        y, x = np.nonzero(result.panoptic_seg == segment['id'])
        assert segment['area'] == len(y)
        box = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
        assert segment['bbox'] == box
        assert segment['name'] == tiny_inferencer.CLASSES[segment['label']]
        assert segment['isthing'] == (segment['label'] < tiny.NUM_THINGS)
    assert result.instances is None and result.semantic_seg is None
    result = inferencer(picture(), instances=True, semantic=True)['predictions'][0]
    assert result.semantic_seg.shape == (64, 96) and len(result.instances) > 1
    for instance in result.instances:
        mask = coco_mask.decode(instance['segmentation'])
        y, x = np.nonzero(mask)
        assert instance['bbox'][:2] == [x.min(), y.min()]
        assert instance['category_id'] == IDS[instance['label']]
    scores = [instance['score'] for instance in result.instances]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    'size', [(1, 1), (50, 2000), (2, 64), (8, 8)], ids=['1x1', '50x2000', '2x64', 'grey']
)
def test_images_of_odd_shapes(inferencer, size):
    array = picture(*size)[..., 0] if size == (8, 8) else picture(*size)
    result = inferencer(array)['predictions'][0]
    assert result.panoptic_seg.shape == array.shape[:2]
    assert result.draw().ndim == 3


def test_a_record_gives_the_result_again(inferencer):
    (result,) = inferencer.track([picture()], instances=True)
    record = json.loads(json.dumps(result.to_record()))
    again = PanopticResult.from_record(record, result.image, result.dataset_meta)
    assert np.array_equal(again.panoptic_seg, result.panoptic_seg)
    assert again.segments_info == result.segments_info and again.instances == result.instances
    assert np.array_equal(again.draw(), result.draw())
    assert again.to_record() == record
    with pytest.raises(ValueError, match='image 0 has no kernels, by which things are followed'):
        again.follow(Tracker())
    with pytest.raises(ValueError, match=r'is of \(64, 96\) pixels .*, the image has \(8, 9\)'):
        PanopticResult.from_record(record, picture(8, 9), result.dataset_meta)


def test_things_of_frames_keep_their_ids(inferencer):
    """The same frame again and again; and shifted by a tracker that knows another video."""
    plain = next(inferencer.stream([picture()]))
    results = list(inferencer.track([picture()] * 3))
    assert all(np.array_equal(r.panoptic_seg, results[0].panoptic_seg) for r in results)
    assert np.array_equal(results[0].panoptic_seg > 0, plain.panoptic_seg > 0)
    for before, after in zip(plain.segments_info, results[2].segments_info, strict=True):
        assert (after['track_id'] > 0) == after['isthing']
        expected = before['label'] + 1000 * after['track_id']
        assert after['id'] == expected and {**after, 'id': 0} == {
            **before, 'id': 0, 'track_id': after['track_id']
        }  # fmt: skip
    tracker = Tracker()
    (first,) = inferencer.track([picture(seed=1)], tracker=tracker)
    (second,) = inferencer.track([picture(72, 48)], tracker=tracker)
    known = {s['track_id'] for s in first.segments_info} - {0}
    assert known and known.isdisjoint({s['track_id'] for s in second.segments_info} - {0})
