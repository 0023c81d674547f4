"""timm's models as backbones; skipped nowhere: the test environment has timm."""

import pytest
import timm
import torch
from mmdet.registry import MODELS

NAME = 'tf_efficientnet_lite0'


def backbone(**arguments):
    return MODELS.build(dict(type='TimmBackbone', model_name=NAME, **arguments))


def test_features_and_channels():
    model = backbone()
    feats = model(torch.zeros(1, 3, 64, 96))
    assert [f.shape[1] for f in feats] == model.out_channels == [24, 40, 112, 320]
    assert [(f.shape[2], f.shape[3]) for f in feats] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_a_checkpoint_in_timms_names(tmp_path):
    whole = timm.create_model(NAME)
    torch.save(whole.state_dict(), tmp_path / 'lite0.pth')
    model = backbone(checkpoint=str(tmp_path / 'lite0.pth')).eval()
    x = torch.rand(1, 3, 64, 64)
    expected = whole.eval().forward_intermediates(x, indices=[1, 2, 3, 4], intermediates_only=True)
    assert not torch.allclose(model(x)[0], expected[0], atol=1e-3)  # random before
    model.init_weights()
    for feat, other in zip(model(x), expected, strict=True):
        assert torch.allclose(feat, other, atol=1e-5)


@pytest.mark.parametrize('stages', [0, 1, 2])
def test_frozen_stages(stages):
    model = backbone(frozen_stages=stages, norm_eval=False).train()
    x = torch.rand(2, 3, 64, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    feats = model(x)
    sum(f.sum() for f in feats).backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert ('net.conv_stem.weight' in trained) == (stages == 0)
    assert ('net.bn1.running_mean' in moved) == (stages == 0)
    assert any(n.startswith('net.blocks.1.') for n in trained) == (stages < 1)
    assert any(n.startswith('net.blocks.2.') for n in trained | moved) == (stages < 2)
    assert any(n.startswith('net.blocks.6.') for n in trained & moved | trained)


def test_norm_eval_keeps_the_statistics():
    model = backbone().train()
    before = model.net.bn1.running_mean.clone()
    model(torch.rand(2, 3, 64, 64))
    assert torch.equal(model.net.bn1.running_mean, before)


def test_wrong_input(tmp_path):
    with pytest.raises(ValueError, match="'convnext_tinny': did you mean convnext_tiny"):
        MODELS.build(dict(type='TimmBackbone', model_name='convnext_tinny'))
    with pytest.raises(ValueError, match=r'vit_tiny_patch16_224 gives features at strides \[16'):
        MODELS.build(dict(type='TimmBackbone', model_name='vit_tiny_patch16_224'))
    with pytest.raises(FileNotFoundError, match='none.pth is not there'):
        backbone(checkpoint=str(tmp_path / 'none.pth')).init_weights()
