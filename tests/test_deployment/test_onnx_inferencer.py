"""The R50 model with the oracle's weights on real photos: ONNX Runtime against PyTorch."""

import cv2
import numpy as np
import pytest
import torch
from helpers import oracle
from helpers.onnx_model import assert_same
from mmengine.config import Config

from mmpfcn import PanopticInferencer
from mmpfcn.commands import detectron2_to_mmpfcn as converter
from mmpfcn.commands.export.export import export_onnx
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Both, at 160 x 256 px at most to save time."""
    folder = tmp_path_factory.mktemp('r50')
    model = converter.build_model(False)
    weights = converter.convert(oracle.published_weights(False), model.state_dict())
    torch.save(dict(state_dict=weights), folder / 'r50.pth')
    config = Config.fromfile(oracle.ROOT / 'configs/panoptic_fcn/r50_coco.py')
    config.test_dataloader.dataset.pipeline[1].scale = (256, 160)
    with pytest.warns(UserWarning, match="taking COCO's"):
        theirs = PanopticInferencer(config, folder / 'r50.pth', 'cpu', show_progress=False)
    export_onnx(theirs, folder / 'r50.onnx')
    return theirs, OnnxInferencer(folder / 'r50.onnx')


def photos() -> list:
    """Upright, square and wide ones."""
    paths = sorted((oracle.coco200() / 'val2017').glob('*.jpg'))
    ratios = [
        np.divide(*cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8).shape[:2]) for path in paths
    ]
    order = np.argsort(ratios)
    return [paths[i] for i in order[[0, len(order) // 4, len(order) // 2, -20, -1]]]


def test_photos(models):
    theirs, ours = models
    paths = photos()
    expected, actual = theirs([str(p) for p in paths])['predictions'], ours(paths)['predictions']
    assert len({result.panoptic_seg.shape for result in actual}) >= 4
    assert sum(s['isthing'] for result in actual for s in result.segments_info) >= 3
    assert sum(not s['isthing'] for result in actual for s in result.segments_info) >= 10
    for one, other in zip(expected, actual, strict=True):
        sides = one.panoptic_seg.shape
        factor = min(256 / max(sides), 160 / min(sides))
        assert_same(one, other, cell_pixels=(4 / factor) ** 2)


def test_two_photos_at_once(models):
    theirs, ours = models
    paths = sorted((oracle.coco200() / 'val2017').glob('*.jpg'))
    images = [image for image in map(lambda p: cv2.imread(str(p)), paths[:20])]
    images = [image for image in images if image.shape == (480, 640, 3)][:2]
    assert len(images) == 2
    expected, actual = theirs(images)['predictions'], ours(images, batch_size=2)['predictions']
    for one, other in zip(expected, actual, strict=True):
        assert_same(one, other)
