"""Both images of a pair show a segment of its class, at one size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import TRANSFORMS

from mmpfcn.datasets import PairedCrop, SegmentMasks
from mmpfcn.datasets.paired_sampler import PairIndex
from mmpfcn.datasets.replayable_sampler import SampleIndex
from test_datasets.test_random_crop import sample

WHOLE = (10**6, 10**6)


def scene(size: tuple[int, int], boxes: list[tuple]) -> np.ndarray:
    """Index map (H, W) of boxes (left, top, right, bottom); labels are 10, 11, ..."""
    index_map = np.zeros(size, np.uint16)
    for value, (left, top, right, bottom) in enumerate(boxes, 1):
        index_map[top:bottom, left:right] = value
    return index_map


def cropped(crop: PairedCrop, index_map: np.ndarray, index: int, seed: int = 0) -> dict:
    np.random.seed(seed)
    return crop({**sample(index_map, SegmentMasks), 'sample_idx': index})


def side(results: dict, label: int) -> float:
    """sqrt(box area) of the only object of a label."""
    [box] = results['gt_bboxes'].numpy()[results['gt_bboxes_labels'] == label]
    return float(np.sqrt((box[2:] - box[:2]).prod()))


def place(results: dict, point: tuple[float, float]) -> np.ndarray:
    """Where a point (x, y) of the file is now."""
    return (results['homography_matrix'] @ [*point, 1])[:2]


boxes = st.tuples(st.integers(0, 30), st.integers(0, 20), st.integers(8, 25), st.integers(8, 25))


@settings(max_examples=40, deadline=None)
@given(boxes, boxes, st.integers(0, 2**32 - 1))
def test_the_object_has_the_size_of_the_pair_in_both_images(one, other, pair_seed):
    crop = PairedCrop(WHOLE, scales=(20, 60), short_side=(1, 1000))
    sizes = []
    for i, (left, top, w, h) in enumerate((one, other)):
        index_map = scene((50, 70), [(60, 45, 69, 49), (left, top, left + w, top + h)])
        after = cropped(crop, index_map, PairIndex(i, seed=i, label=11, pair_seed=pair_seed))
        assert after['img'].shape[:2] == after['gt_seg_map'].shape == after['img_shape']
        sizes.append(side(after, 11))
    assert abs(sizes[0] - sizes[1]) < 5  # a box grows and shrinks by whole pixels
    assert min(abs(sizes[0] - scale) for scale in crop.scales) < 4


def test_scales_are_equally_likely():
    crop = PairedCrop(WHOLE, scales=(10, 20, 40), short_side=(1, 1000))
    index_map = scene((40, 40), [(10, 10, 20, 20)])
    found = [
        round(side(cropped(crop, index_map, PairIndex(0, label=10, pair_seed=seed)), 10))
        for seed in range(300)
    ]
    assert set(found) == {10, 20, 40}
    assert all(abs(found.count(scale) - 100) < 50 for scale in set(found))


@settings(max_examples=60, deadline=None)
@given(
    box=boxes,
    crop_size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    short=st.tuples(st.integers(20, 60), st.integers(0, 60)),
    long=st.integers(80, 200),
    seed=st.integers(0, 2**32 - 1),
    stuff=st.booleans(),
)
def test_limits_are_kept_and_the_window_has_the_middle(box, crop_size, short, long, seed, stuff):
    left, top, w, h = box
    index_map = scene((50, 70), [(left, top, left + w, top + h)])
    label = 101 if stuff else 10  # a region of the semantic map, which no object has
    short = (short[0], min(sum(short), long))
    whole = PairedCrop(WHOLE, (5, 50, 500), short, long)
    index = PairIndex(0, label=label, pair_seed=seed)
    height, width = cropped(whole, index_map, index, seed % 2**31)['img'].shape[:2]
    assert height <= short[1] + 1 and width <= long + 1
    assert height >= short[0] - 1 or width >= long - 1
    if stuff:  # as near to the file's size as the limits allow
        expected = min(np.clip(50, *short), 50 * long / 70)
        assert abs(height - expected) <= 1
    after = cropped(PairedCrop(crop_size, (5, 50, 500), short, long), index_map, index, seed % 2**31)
    size = np.minimum(crop_size, (width, height))
    assert after['img'].shape[:2] == tuple(size[::-1])
    x, y = place(after, (left + w / 2, top + h / 2))
    assert -1e-3 <= x <= size[0] + 1e-3 and -1e-3 <= y <= size[1] + 1e-3


def test_without_pair_or_segment():
    crop = TRANSFORMS.build(dict(type='PairedCrop', crop_size=(8, 6), scales=(4,), short_side=(6, 90)))
    assert repr(crop) == ('PairedCrop(crop_size=(8, 6), scales=(4,), short_side=(6, 90), max_long_side=6192)')
    index_map = scene((40, 60), [(4, 4, 12, 12), (40, 20, 48, 28)])
    seen = {tuple(cropped(crop, index_map, 0, seed)['gt_bboxes_labels']) for seed in range(20)}
    assert seen == {(10,), (11,)}  # dataset[0]: one of its objects, halved
    for index in (0, PairIndex(0, label=3, pair_seed=1)):  # nothing of the class
        corners = {
            tuple(place(cropped(crop, scene((12, 20), []), index, seed), (0, 0))) for seed in range(30)
        }
        assert len(corners) > 5
    with pytest.raises(ValueError, match='without a pair: set train_dataloader.sampler'):
        cropped(crop, index_map, SampleIndex(0, 1))


@pytest.mark.parametrize('wrong, message', [
    (dict(scales=()), r'scales=\(\), expected sizes above 0'),
    (dict(scales=(0, 3)), r'scales=\(0, 3\), expected'),
    (dict(short_side=(600, 500)), r'short_side=\(600, 500\)'),
    (dict(max_long_side=100), 'max_long_side=100, expected'),
    (dict(crop_size=(0, 1)), r'PairedCrop got crop_size=\(0, 1\)'),
])  # fmt: skip
def test_wrong_sizes_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        PairedCrop(**{'crop_size': (8, 8), **wrong})
