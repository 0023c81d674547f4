"""Transforms of mmdet that mix or erase: supported and right, or refused by name."""

import json

import numpy as np
import pytest
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import init_default_scope
from PIL import Image

from mmpfcn.datasets import PackPanopticInputs, PaintThings, PanopticDataset, SegmentMasks
from mmpfcn.datasets.panoptic_dataset import check_transforms
from mmpfcn.formats import write_panoptic_png

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


MIXING = ['Mosaic', 'MixUp', 'CachedMosaic', 'CachedMixUp', 'RandomAffine', 'RandomShift']
LOADING = [dict(type='LoadImage'), dict(type='LoadPanopticGroundTruth')]


@pytest.mark.parametrize(
    ('name', 'options'),
    [('RandomErasing', dict(n_patches=1, ratio=0.2)), *((n, {}) for n in ['SegRescale', *MIXING])],
)
def test_what_can_not_work_is_refused_by_its_name(name, options):
    step = dict(type=name, **options)
    for steps in (step, dict(type='RandomApply', transforms=[step])):
        with pytest.raises(ValueError, match=f'{name} can not be used behind LoadPanoptic'):
            PanopticDataset('none.json', pipeline=[*LOADING, steps], lazy_init=True)


@pytest.fixture
def files(tmp_path):
    """Two images, one of them without things."""
    annotations = []
    for number, ids in enumerate((np.full((8, 8), 2), np.tile([1, 2], (8, 4)))):
        write_panoptic_png(tmp_path / 'seg' / f'{number}.png', ids)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f'{number}.jpg')
        segments = [dict(id=int(i), category_id=int(i)) for i in np.unique(ids)]
        name = f'{number}.png'
        annotations.append(dict(image_id=number, file_name=name, segments_info=segments))
    images = [dict(id=i, file_name=f'{i}.jpg', height=8, width=8) for i in range(2)]
    categories = [dict(id=1, name='car', isthing=1), dict(id=2, name='sky', isthing=0)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (tmp_path / 'a.json').write_text(json.dumps(content))
    prefix = dict(img=str(tmp_path), seg=str(tmp_path / 'seg'))
    where = dict(ann_file=str(tmp_path / 'a.json'), data_prefix=prefix)
    return dict(type='PanopticDataset', pipeline=LOADING, **where)


def mixed(files, *names):
    init_default_scope('mmdet')
    pipeline = [dict(type=name) for name in names]
    inner = dict(type='ConcatDataset', datasets=[files, files])
    return DATASETS.build(dict(type='MultiImageMixDataset', dataset=inner, pipeline=pipeline))


@pytest.mark.parametrize('name', MIXING)
def test_wrappers_are_looked_into(files, name):
    with pytest.raises(ValueError, match=f'{name} can not be used .* leaves the semantic map'):
        check_transforms(mixed(files, name))


def test_copy_paste_needs_painting(files):
    with pytest.raises(ValueError, match='CopyPaste .* Add dict.type="PaintThings".'):
        check_transforms(mixed(files, 'PaintThings', 'CopyPaste', 'YOLOXHSVRandomAug'))
    dataset = mixed(files, 'CopyPaste', 'PaintThings', 'PackPanopticInputs')
    check_transforms(dataset)
    gt = dataset[3]['data_samples']
    seg_map = gt.gt_sem_seg.sem_seg[0].numpy()
    shown = gt.gt_instances.masks.masks.any(0)
    assert shown.any() and (seg_map[shown] == 0).all() and (seg_map[~shown] == 1).all()


@pytest.mark.parametrize('name', ['Mosaic', 'MixUp'])
def test_mixed_images_are_refused_without_the_hook_too(files, name):
    """The image with a thing; Mosaic alone doubles the size."""
    dataset = mixed(files, name, 'PackPanopticInputs')
    with pytest.raises(ValueError, match='Mosaic'):
        dataset[1]


def test_more_labels_or_segments_than_maps_hold(files, tmp_path):
    load = TRANSFORMS.build(dict(type='LoadPanopticGroundTruth'))
    record = dict(seg_map_path=str(tmp_path / 'seg' / '0.png'), height=8, width=8)
    segment = dict(id=2, category=254, is_thing=False)
    assert load(dict(record, segments_info=[segment]))['gt_seg_map'].max() == 254
    with pytest.raises(ValueError, match='0.png has a segment of the label 255, expected at most'):
        load(dict(record, segments_info=[dict(segment, category=255)]))
    many = [dict(segment, id=i, category=1) for i in range(1, 2**16 + 1)]
    with pytest.raises(ValueError, match='0.png has 65536 segments, expected at most 65535'):
        load(dict(record, segments_info=many))
    content = json.loads(open(files['ann_file']).read())
    segments = [dict(id=i, category_id=1) for i in range(1, 2**16 + 1)]
    content['annotations'][0]['segments_info'] = segments
    open(files['ann_file'], 'w').write(json.dumps(content))
    with pytest.raises(ValueError, match='0.png has 65536 segments, expected at most 65535'):
        mixed(files)


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
