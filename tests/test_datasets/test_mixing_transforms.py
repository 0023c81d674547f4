"""Transforms of mmdet that mix or erase: supported and right, or refused by name."""

import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks

from mmpfcn.datasets import PackPanopticInputs, PaintThings, PanopticDataset, SegmentMasks

SKY, CAR, DOG = 2, 0, 1


def sample(box: tuple[int, int, int, int], label: int) -> dict:
    """An image (48, 64) of one object, a rectangle, before the sky."""
    x1, y1, x2, y2 = box
    index = np.zeros((48, 64), np.uint16)
    index[y1:y2, x1:x2] = 1
    masks = SegmentMasks(index, [1])
    return dict(
        img=np.full((48, 64, 3), 10 * label, np.uint8),
        img_path='a.png',
        img_shape=(48, 64),
        gt_masks=masks,
        gt_bboxes=masks.get_bboxes('hbox'),
        gt_bboxes_labels=np.array([label]),
        gt_ignore_flags=np.array([False]),
        gt_seg_map=np.where(index == 1, label, SKY).astype(np.uint8),
    )


PACK = PackPanopticInputs(meta_keys=())


def pasted() -> dict:
    car, dog = sample((0, 0, 32, 40), CAR), sample((20, 20, 60, 48), DOG)
    paste = TRANSFORMS.build(dict(type='CopyPaste', selected=False))
    return paste(dict(car, mix_results=[dog]))


def test_copy_paste_and_painting_give_the_drawn_map():
    results = PaintThings()(pasted())
    expected = np.full((48, 64), SKY)
    expected[0:40, 0:32] = CAR
    expected[20:48, 20:60] = DOG
    np.testing.assert_array_equal(results['gt_seg_map'], expected)
    assert [mask.sum() for mask in results['gt_masks'].masks] == [32 * 40 - 12 * 20, 40 * 28]
    sem = PACK(results)['data_samples'].gt_sem_seg.sem_seg
    np.testing.assert_array_equal(sem[0], expected)
    PACK(sample((0, 0, 32, 40), CAR))
    with pytest.raises(ValueError, match='1 of 2 masks .* the one of label 1: .*PaintThings'):
        PACK(pasted())


@pytest.mark.parametrize('key', ['gt_seg_map', 'gt_masks'])
def test_another_size_than_the_image_is_refused(key):
    results = sample((0, 0, 32, 40), CAR)
    half = results[key].resize((24, 32)) if key == 'gt_masks' else results[key][::2, ::2]
    with pytest.raises(ValueError, match=rf'{key} of a.png is \(24, 32\) .* is \(48, 64\)'):
        PACK(dict(results, **{key: half}))


@pytest.mark.parametrize('name, options', [
    ('RandomErasing', dict(n_patches=1, ratio=0.2)),
    ('SegRescale', {}),
    ('CachedMosaic', {}),
    ('CachedMixUp', {}),
])  # fmt: skip
def test_what_can_not_work_is_refused_by_its_name(name, options):
    pipeline = [dict(type='LoadPanopticGroundTruth'), dict(type=name, **options)]
    with pytest.raises(ValueError, match=f'{name} can not be used behind LoadPanoptic'):
        PanopticDataset('none.json', pipeline=pipeline, lazy_init=True)


def test_masks_are_replaced_or_refused_never_lost():
    masks = sample((0, 0, 32, 40), CAR)['gt_masks']
    with pytest.raises(ValueError, match='read-only'):
        masks.masks[:, :10] = 0
    array = masks.masks.copy()
    array[:, :10] = 0
    masks.masks = array
    assert masks.areas.tolist() == [32 * 30]
    np.testing.assert_array_equal(masks.masks, array)
    two = SegmentMasks.cat([masks, masks])
    assert isinstance(two, BitmapMasks)
    assert two.areas.tolist() == [960, 960]
    assert len(SegmentMasks.random(3, height=8, width=9)) == 3
    both = SegmentMasks(np.array([[1, 2]], np.uint16), [1, 2])
    with pytest.raises(ValueError, match='do not overlap'):
        both.masks = np.ones((2, 1, 2))
    with pytest.raises(ValueError, match=r'\(1, 1, 2\) .* expected \(2, 1, 2\)'):
        both.masks = np.ones((1, 1, 2))
