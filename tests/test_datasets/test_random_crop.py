"""The crop around an object: equal to slicing, aligned, and uniform over the legal positions."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms.utils import cache_random_params
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmpfcn.datasets.random_crop import RandomCropWithInstance
from mmpfcn.structures.segment_masks import SegmentMasks

MASK_TYPES = pytest.mark.parametrize('mask_type', [BitmapMasks, SegmentMasks])
SIDES = st.integers(1, 30)


def sample(index_map: np.ndarray, mask_type: type) -> dict:
    """Results of a loading pipeline: segment i + 1 of the map is an object of label 10 + i."""
    h, w = index_map.shape
    values = np.setdiff1d(index_map, [0])
    masks = SegmentMasks(index_map, values)
    if mask_type is BitmapMasks:
        masks = BitmapMasks(masks.masks, h, w)
    rows, cols = np.mgrid[:h, :w]
    return dict(
        img=np.stack([rows, cols, index_map], axis=-1).astype(np.uint8),
        img_shape=(h, w),
        gt_masks=masks,
        gt_bboxes=masks.get_bboxes('hbox'),
        gt_bboxes_labels=values.astype(int) + 9,
        gt_ignore_flags=np.zeros(len(values), bool),
        gt_seg_map=(index_map + 100).astype(np.uint8),
    )


@st.composite
def index_maps(draw) -> np.ndarray:
    h, w = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    index_map = np.zeros((h, w), np.uint16)
    for value in range(1, draw(st.integers(0, 5)) + 1):
        top, left = draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1))
        bottom, right = draw(st.integers(top + 1, h)), draw(st.integers(left + 1, w))
        index_map[top:bottom, left:right] = value
    return index_map


@MASK_TYPES
@settings(max_examples=60, deadline=None)
@given(index_map=index_maps(), crop_size=st.tuples(SIDES, SIDES), seed=st.integers(0, 2**31))
def test_equals_slicing_and_stays_aligned(mask_type, index_map, crop_size, seed):
    np.random.seed(seed)
    before = sample(index_map, mask_type)
    centers, labels = before['gt_bboxes'].centers.numpy(), before['gt_bboxes_labels']
    masks = before['gt_masks'].masks.copy()
    after = RandomCropWithInstance(crop_size)(before)

    h, w = min(crop_size[1], index_map.shape[0]), min(crop_size[0], index_map.shape[1])
    assert after['img_shape'] == after['img'].shape[:2] == after['gt_seg_map'].shape == (h, w)
    top, left = after['img'][0, 0, :2].astype(int)
    window = slice(top, top + h), slice(left, left + w)
    assert (after['img'][..., 2] == index_map[window]).all()
    assert (after['gt_seg_map'] == index_map[window] + 100).all()
    inside = (centers >= [left, top]) & (centers < [left + w, top + h])
    assert not len(centers) or inside.all(1).any()

    cut = masks[(slice(None), *window)]
    alive = cut.any((1, 2))
    assert (after['gt_masks'].masks == cut[alive]).all()
    assert isinstance(after['gt_masks'], mask_type)
    assert (after['gt_masks'].height, after['gt_masks'].width) == (h, w)
    assert (after['gt_bboxes_labels'] == labels[alive]).all()
    assert len(after['gt_ignore_flags']) == len(after['gt_bboxes']) == alive.sum()
    boxes = BitmapMasks(cut[alive], h, w).get_bboxes('hbox')
    assert torch.equal(after['gt_bboxes'].tensor, boxes.tensor)
    assert (after['homography_matrix'] == [[1, 0, -left], [0, 1, -top], [0, 0, 1]]).all()


def corners(results_of, crop_size: tuple[int, int], draws: int) -> Counter:
    crop = RandomCropWithInstance(crop_size)
    np.random.seed(0)
    images = [crop(results_of())['img'] for _ in range(draws)]
    return Counter((int(image[0, 0, 0]), int(image[0, 0, 1])) for image in images)


def assert_uniform(found: Counter, expected: set[tuple[int, int]]) -> None:
    """All of the (top, left) and nothing else, each as often within five standard deviations."""
    assert set(found) == expected
    mean = found.total() / len(expected)
    assert max(abs(count - mean) for count in found.values()) < 5 * mean**0.5


def test_all_positions_are_equally_likely():
    index_map = np.zeros((9, 12), np.uint16)
    index_map[5:8, 1:5] = 1  # centre (3, 6.5)
    found = corners(lambda: sample(index_map, SegmentMasks), (4, 3), 4000)
    # of the windows 4 wide and 3 high that hold column 3 and row 6
    assert_uniform(found, {(top, left) for top in range(4, 7) for left in range(0, 4)})
    index_map = np.zeros((5, 6), np.uint16)
    found = corners(lambda: sample(index_map, BitmapMasks), (4, 3), 2000)
    assert_uniform(found, {(top, left) for top in range(3) for left in range(3)})


def test_each_object_is_equally_likely_and_ignored_ones_are_not_drawn():
    index_map = np.zeros((1, 40), np.uint16)
    index_map[0, 3], index_map[0, 20], index_map[0, 36] = 1, 2, 3

    def results() -> dict:
        found = sample(index_map, BitmapMasks)
        found['gt_ignore_flags'][1] = True
        return found

    assert_uniform(corners(results, (1, 1), 1000), {(0, 3), (0, 36)})


def test_what_is_not_a_mask_is_cropped_too():
    boxes = HorizontalBoxes(np.array([[0, 0, 8, 8], [30, 0, 40, 8]], np.float32))
    results = dict(img=np.zeros((8, 40, 3), np.uint8), gt_bboxes=boxes)
    results['gt_bboxes_labels'] = np.array([1, 2])
    np.random.seed(1)
    after = RandomCropWithInstance((12, 8))(results)
    left = -int(after['homography_matrix'][0, 2])
    box, kept = ([0, 0, 8 - left, 8], 1) if left <= 4 else ([30 - left, 0, 40 - left, 8], 2)
    expected = np.clip(np.array([box]), 0, [12, 8, 12, 8])
    assert (after['gt_bboxes'].numpy() == expected).all()
    assert after['gt_bboxes_labels'].tolist() == [kept]
    square = np.array([2, 2, 6, 2, 6, 6, 2, 6], np.float32)
    masks = PolygonMasks([[square], [square + 20]], 30, 30)
    things = dict(gt_masks=masks, gt_bboxes=masks.get_bboxes('hbox'), gt_bboxes_labels=np.array([1, 2]))
    results = dict(img=np.zeros((30, 30, 3), np.uint8), **things)
    after = RandomCropWithInstance((8, 8))(results)
    assert len(after['gt_masks']) == len(after['gt_bboxes']) == len(after['gt_bboxes_labels']) == 1
    assert after['gt_masks'].areas[0] > 0
    after = RandomCropWithInstance((4, 3))(dict(img=np.zeros((9, 9, 3), np.uint8)))
    assert after['img'].shape == (3, 4, 3)
    results = sample(np.ones((6, 6), np.uint16), BitmapMasks)
    results['gt_bboxes'] = results['gt_bboxes'].numpy()
    after = RandomCropWithInstance((4, 4))(results)
    assert isinstance(after['gt_bboxes'], np.ndarray)
    assert after['gt_bboxes'].tolist() == [[0, 0, 4, 4]]
    crop = TRANSFORMS.build(dict(type='RandomCropWithInstance', crop_size=(1024, 512)))
    assert repr(crop) == 'RandomCropWithInstance(crop_size=(1024, 512))'


def test_randomness_can_be_shared_and_matrices_add_up():
    crop = RandomCropWithInstance((3, 3))
    with cache_random_params(crop):
        images = [crop(sample(np.ones((20, 20), np.uint16), BitmapMasks))['img'] for _ in range(5)]
        firsts = {tuple(image[0, 0]) for image in images}
    assert len(firsts) == 1
    twice = crop(crop(sample(np.ones((20, 20), np.uint16), BitmapMasks)))
    shift = twice['img'][0, 0, 1::-1]  # (left, top)
    assert (twice['homography_matrix'][:2, 2] == -shift.astype(int)).all()


@pytest.mark.parametrize('crop_size', [(512,), (0, 512), (0.5, 0.5)])
def test_wrong_size_is_named(crop_size):
    with pytest.raises(ValueError, match=r'crop_size=.*expected \(width, height\)'):
        RandomCropWithInstance(crop_size)
