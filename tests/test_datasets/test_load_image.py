"""Which transforms fit how the images are read, and the rule of a data set."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmpfcn.datasets.load_image import LoadImage, configured_rule, picture, pixel_rule, require_rule
from mmpfcn.formats.pixels import COLOUR, PixelRule

DEEP = PixelRule(3, percentiles=(1, 99))
init_default_scope('mmdet')


@pytest.mark.parametrize('rule, step, message', [
    (PixelRule(1), dict(type='PhotoMetricDistortion'),
     'PhotoMetricDistortion needs three channels, but LoadImage gives 1 of uint8: leave Photo'),
    (PixelRule(4), dict(type='RandomApply', transforms=[dict(type='RandomGrayscale')]),
     'RandomGrayscale needs three channels, but LoadImage gives 4'),
    (DEEP, dict(type='Equalize'), 'Equalize needs 8 bits, but LoadImage gives 3 of float32'),
    (DEEP, dict(type='ShortSideResize', scale=(96, 64), backend='pillow'), "backend='cv2' of ShortSide"),
    (PixelRule(1), dict(type='RandomChoiceResize', scales=[(96, 64)], backend='pillow'),
     'needs three channels of 8 bits'),
])  # fmt: skip
def test_transforms_that_do_not_fit(rule, step, message):
    step = TRANSFORMS.build(step)
    require_rule(COLOUR, [step])
    with pytest.raises(ValueError, match=message):
        require_rule(rule, [step])


FITTING = [
    dict(type='Resize', scale=(48, 32)), dict(type='ShortSideResize', scale=(48, 32), backend='cv2'),
    dict(type='RandomFlip', prob=1.0, direction='diagonal'),
    dict(type='RandomCrop', crop_size=(16, 16), allow_negative_crop=True), dict(type='Invert', prob=1.0),
    dict(type='PackPanopticInputs'),
]  # fmt: skip


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 7])
def test_transforms_that_fit(channels):
    """Resized, flipped, cropped and packed as (C, H, W), whatever C."""
    rule = PixelRule(channels, [(0, 4095)])
    pipeline = Compose(FITTING)
    require_rule(rule, pipeline)
    image = rule.fit(np.full((40, 60, channels), 819, np.uint16), 'a')
    inputs = pipeline(dict(img=image, img_shape=(40, 60), ori_shape=(40, 60)))['inputs']
    assert inputs.shape == (channels, 16, 16)
    assert np.allclose(inputs, 255 - 51, atol=1e-3)  # of an inverted image


def test_the_rule_of_a_data_set_in_wrappers(tmp_path):
    rule = PixelRule(1, [(0, 4095)])
    step = dict(type='LoadImage', channels=1, ranges=[(0, 4095)])
    assert configured_rule([dict(type='LoadAnnotations'), step]) == rule
    assert configured_rule([dict(type='LoadImageFromFile')]) == COLOUR
    data = SimpleNamespace(pipeline=Compose([step]))
    joined = SimpleNamespace(datasets=[data, data])
    assert pixel_rule(SimpleNamespace(dataset=joined, pipeline=Compose([]))) == rule
    assert pixel_rule(SimpleNamespace(pipeline=Compose([]))) == COLOUR
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.full((4, 6), 819, np.uint16))
    loaded = LoadImage(channels=1, ranges=[(0, 4095)]).transform(dict(img_path=path))
    assert loaded['img'].shape == (4, 6, 1) and loaded['img_shape'] == loaded['ori_shape'] == (4, 6)
    assert (picture(data, path) == 51).all() and picture(data, path).shape == (4, 6, 3)
