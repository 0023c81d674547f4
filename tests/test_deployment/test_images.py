"""Images are prepared for the graph as the model's pipeline and preprocessor prepare them."""

import mmcv
import numpy as np
import pytest
import torch
from helpers.tiny_inferencer import picture
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import TRANSFORMS

from mmpfcn.deployment.images import normalize, resize
from mmpfcn.formats.batches import padded_shape

META = dict(scale=[96, 64], keep_ratio=True, mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0],
            bgr_to_rgb=True, pad_size_divisor=32)  # fmt: skip


@pytest.mark.parametrize('size', [(64, 96), (200, 70), (33, 41)])
def test_as_resized_by_mmcv(size):
    image = picture(*size)
    assert np.array_equal(resize(image, META, 'a'), mmcv.imrescale(image, (96, 64)))


@pytest.mark.parametrize('size', [(64, 96), (200, 70), (33, 41), (37, 62)])
@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
@pytest.mark.parametrize('type', ['ShortSideResize', 'Resize'])
def test_as_resized_by_the_transform(size, backend, type):
    keep_ratio = dict(keep_ratio=True) if type == 'Resize' else {}
    step = dict(type=type, scale=(133, 80), backend=backend, **keep_ratio)
    meta = {**META, 'scale': [133, 80], 'resize_type': type, 'resize_backend': backend}
    expected = TRANSFORMS.build(step)(dict(img=picture(*size)))['img']
    assert np.array_equal(resize(picture(*size), meta, 'a'), expected)


def test_a_side_that_vanishes_is_named():
    with pytest.raises(ValueError, match='thin.png is 6000 x 8 pixels'):
        resize(picture(8, 6000), META, 'thin.png')


def test_as_normalized_and_padded_by_mmdet():
    images = [picture(50, 70), picture(33, 90)]
    assert padded_shape((50, 70), 32) == padded_shape((33, 90), 32) == (64, 96)
    keys = ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor')
    preprocessor = DetDataPreprocessor(**{key: META[key] for key in keys})
    inputs = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    expected = preprocessor(dict(inputs=inputs))['inputs'].numpy()
    np.testing.assert_allclose(normalize(images, META), expected, atol=1e-5)
