"""Images for the published weights, computed from the files without mmcv and mmdet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.oracle import coco200
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image

from mmpfcn import ShortSideResize


def odd_photos() -> list[Path]:
    """One of each size, the oddest sizes first."""
    by_size = {}
    for path in sorted((coco200() / 'val2017').glob('*.jpg')):
        with Image.open(path) as image:
            by_size.setdefault(image.size, path)
    return [by_size[size] for size in sorted(by_size, key=lambda s: (s[0] * s[1] % 16 == 0, s))][:20]


def published(path: Path, short: int, long: int) -> np.ndarray:
    """The rule from scratch: short side, long side capped, each side rounded by itself."""
    image = Image.open(path).convert('RGB')
    w, h = image.size
    scale = short / min(h, w)
    new_h, new_w = (short, scale * w) if h < w else (scale * h, short)
    if max(new_h, new_w) > long:
        scale = long / max(new_h, new_w)
        new_h, new_w = new_h * scale, new_w * scale
    size = int(new_w + 0.5), int(new_h + 0.5)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))[..., ::-1]  # BGR


@pytest.mark.parametrize('name, short, long', [('r50_coco', 800, 1333), ('r50_400_coco_3x', 400, 666)])
def test_input_tensors_of_photos(name, short, long):
    pipeline = Config.fromfile(tiny.CONFIGS / f'{name}.py').test_dataloader.dataset.pipeline
    pipeline = Compose([step for step in pipeline if step['type'] != 'LoadPanopticGroundTruth'])
    paths = odd_photos()
    assert len(paths) == 20
    for path in paths:
        packed = pipeline(dict(img_path=str(path), img_id=0))
        expected = published(path, short, long)
        assert torch.equal(packed['inputs'], torch.from_numpy(expected.copy()).permute(2, 0, 1)), path
        assert packed['data_samples'].img_shape == expected.shape[:2]


def test_what_belongs_to_the_image_follows():
    """Also where one factor, as of mmcv's Resize, would give a side of 796."""
    image = np.zeros((370, 620, 3), np.uint8)
    masks = BitmapMasks(np.ones((1, 370, 620), np.uint8), 370, 620)
    seg = np.ones((370, 620), np.uint8)
    results = ShortSideResize((1333, 800))(dict(img=image, gt_masks=masks, gt_seg_map=seg))
    assert results['img'].shape[:2] == results['img_shape'] == (795, 1333)
    assert results['gt_masks'].masks.shape == (1, 795, 1333)
    assert results['gt_seg_map'].shape == (795, 1333)
    assert results['scale_factor'] == (1333 / 620, 795 / 370)


def test_by_cv2_as_well():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    by = {name: ShortSideResize((60, 40), name)(dict(img=image))['img'] for name in ('cv2', 'pillow')}
    assert by['cv2'].shape == by['pillow'].shape == (40, 53, 3)
    # pillow takes the mean of all pixels that one covers, so noise becomes smoother
    assert by['pillow'].std() < 0.8 * by['cv2'].std()


def test_nothing_left():
    with pytest.raises(ValueError, match='thin.png is 6000 x 2 pixels'):
        ShortSideResize((1333, 800))(dict(img=np.zeros((2, 6000, 3), np.uint8), img_path='thin.png'))


@pytest.mark.parametrize('scale', [800, (1333,), (1333, 800, 3), (1333, 0)])
def test_a_scale_that_is_no_pair(scale):
    with pytest.raises(ValueError, match=r'expected sides in pixels such as \(1333, 800\)'):
        ShortSideResize(scale=scale)
