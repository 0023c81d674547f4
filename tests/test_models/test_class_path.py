"""A short way from the backbone's features to the classes, on a tiny model."""

import pytest
import torch
from helpers import onnx_model, tiny
from helpers.onnx_model import assert_same
from helpers.tiny_inferencer import picture
from mmdet.registry import MODELS

from mmpfcn import ClassPath
from mmpfcn.commands.export.export import export_onnx
from mmpfcn.deployment.onnx_inferencer import OnnxInferencer
from mmpfcn.structures import LevelMaps

PATH = dict(type='ClassPath', in_channels=(64, 128))


def with_path(**changes):
    torch.manual_seed(0)
    return tiny.build(panoptic_head=dict(class_path=dict(PATH, **changes)))


def levels_of(model, images):
    with torch.no_grad():
        return model.panoptic_head(model.extract_feat(images))[0]


def test_nothing_is_added_at_the_start():
    model = with_path().eval()
    images = torch.randn(2, 3, 96, 64)
    levels = levels_of(model, images)
    model.panoptic_head.class_path = None
    for ours, plain in zip(levels, levels_of(model, images), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


def test_weights_from_before_it_give_what_they_gave():
    """In a test, too, which loads what there is and initialises nothing."""
    config, old = tiny.config(), tiny.build()
    config.panoptic_head.class_path = PATH
    model = MODELS.build(config)
    missing = model.load_state_dict(old.state_dict(), strict=False).missing_keys
    assert all('.class_path.' in key for key in missing) and missing
    images = torch.randn(1, 3, 64, 64)
    for ours, plain in zip(*(levels_of(x.eval(), images) for x in (model, old)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, plain, strict=True))


def test_logits_of_a_class_are_added_where_the_features_are():
    """By hand: one channel, 1 in the right half, whose weight is 3 for one region and -2 for one centre."""
    path = ClassPath((1, 1), num_things_classes=2, num_region_channels=3).eval()
    path.init_weights()
    path.norms[0].running_var.fill_(1 - 1e-5)  # with its epsilon a variance of 1
    path.out.weight.data[[1, 4], 0] = torch.tensor([[[-2.0]], [[3.0]]])
    feat = torch.zeros(1, 1, 2, 4)
    feat[..., 2:] = 1
    maps = LevelMaps(torch.ones(1, 2, 4, 8), torch.ones(1, 3, 4, 8), torch.ones(1, 5, 4, 8))
    (added,) = path([maps], [feat, torch.zeros(1, 1, 1, 2)])
    assert torch.equal(added.kernels, maps.kernels)
    assert torch.equal(added.centers[:, 0], maps.centers[:, 0])
    assert torch.allclose(added.centers[0, 1, :, 6:], torch.tensor(-1.0))
    assert torch.allclose(added.regions[0, 2, :, 6:], torch.tensor(4.0))
    assert torch.allclose(added.regions[0, 2, :, :2], torch.tensor(1.0))
    assert torch.equal(added.regions[:, :2], maps.regions[:, :2])


def test_it_is_trained_and_the_backbone_by_the_neck_alone():
    model = with_path(drop_rate=0.0)
    torch.nn.init.normal_(model.panoptic_head.class_path.out.weight)
    levels = model.panoptic_head(model.extract_feat(torch.randn(2, 3, 64, 64)))[0]
    path = model.panoptic_head.class_path
    feats = model.backbone(torch.randn(2, 3, 64, 64))
    empty = [maps._replace(**{k: torch.zeros_like(v) for k, v in maps._asdict().items()}) for maps in levels]
    sum(maps.centers.sum() + maps.regions.sum() for maps in path(empty, feats[-2:])).backward()
    assert path.out.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in model.backbone.parameters())
    model.zero_grad()
    sum(tiny.losses(model, tiny.sample()).values()).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_other_features_are_named():
    model = with_path(in_channels=(32, 128))
    with pytest.raises(ValueError, match=r'in_channels=\(32, 128\), but .* have \(64, 128\)'):
        model.extract_feat(torch.randn(1, 3, 64, 64)) and levels_of(model, torch.randn(1, 3, 64, 64))


def test_a_head_in_another_detector_says_what_is_missing():
    model = with_path()
    feats = model.extract_feat(torch.randn(1, 3, 64, 64))[:-2]  # P2..P7, as mmdet's MaskFormer gives
    with pytest.raises(ValueError, match='PanopticFCN gives to the head'):
        model.panoptic_head(feats)


def test_the_exported_model_has_it(tmp_path):
    """For a picture of other proportions than the one that was exported with, too."""

    def change(config):
        config.model.panoptic_head.class_path = PATH

    onnx_model.write_model(tmp_path, change)
    export_onnx(onnx_model.inferencer(tmp_path), tmp_path / 'model.onnx')
    ours, theirs = OnnxInferencer(tmp_path / 'model.onnx', threads=1), onnx_model.inferencer(tmp_path)
    for image in (picture(), picture(96, 56)):
        assert_same(theirs(image)['predictions'][0], ours(image)['predictions'][0])
    theirs.model.panoptic_head.class_path = None
    with pytest.raises(AssertionError):  # it does something
        assert_same(theirs(picture())['predictions'][0], ours(picture())['predictions'][0])
