"""timm's models as backbones; skipped nowhere: the test environment has timm."""

import pytest
import timm
import torch
from mmdet.registry import MODELS

from mmpfcn.models.timm_backbone import BackboneWeightsError

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


@pytest.mark.parametrize('name', ['test_convnext', 'test_efficientnet', 'test_vit', 'test_mambaout',
                                  'test_resnet', 'hrnet_w18_small'])  # fmt: skip
@pytest.mark.parametrize('stages', [0, 2])
def test_any_family(name, stages):
    """Four strides in (N, C, H, W), and the first two stages frozen where they are to be."""
    model = MODELS.build(dict(type='TimmBackbone', model_name=name, frozen_stages=stages)).train()
    feats = model(torch.rand(1, 3, 96, 64))
    assert [f.shape[1] for f in feats] == model.out_channels
    assert [(f.shape[2], f.shape[3]) for f in feats] == [(24, 16), (12, 8), (6, 4), (3, 2)]
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    assert bool(frozen) == (stages > 0) and not [n for n in frozen if n.startswith('pyramid')]
    net = model.net(torch.rand(1, 3, 96, 64))
    assert [f.requires_grad for f in net] == [i >= stages for i in range(4)]


def test_a_plain_transformer():
    """Blocks up to a quarter are frozen; patches of 14 become those of 16 with the same sense."""
    model = MODELS.build(dict(type='TimmBackbone', model_name='test_vit', frozen_stages=1))
    assert model.out_channels == [16, 32, 64, 64]
    trained = {n.split('.')[3] for n, p in model.named_parameters() if 'blocks' in n and p.requires_grad}
    assert trained == {'1', '2', '3', '4', '5'}  # of six
    coarse = MODELS.build(dict(type='TimmBackbone', model_name='vit_tiny_patch16_224')).net.model
    assert coarse.patch_embed.proj.kernel_size == (16, 16)


def test_weights_for_other_patches(tmp_path):
    """A map that is constant stays the same, whatever the size of the patch."""
    whole = timm.create_model('test_vit', patch_size=14, dynamic_img_size=True)
    torch.save(whole.state_dict(), tmp_path / 'vit14.pth')
    path = str(tmp_path / 'vit14.pth')
    model = MODELS.build(dict(type='TimmBackbone', model_name='test_vit', checkpoint=path))
    model.init_weights()
    theirs = whole.patch_embed(torch.ones(1, 3, 28, 28)).mean((1, 2))
    ours = model.net.model.patch_embed(torch.ones(1, 3, 32, 32)).mean((1, 2))
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_drop_path():
    model = MODELS.build(dict(type='TimmBackbone', model_name='test_convnext', drop_path_rate=0.5))
    x = torch.rand(1, 3, 64, 64)
    torch.manual_seed(0)
    assert not torch.equal(model.train()(x)[3], model(x)[3])
    assert torch.equal(model.eval()(x)[3], model(x)[3])


@pytest.mark.parametrize('name, message', [
    ('convnext_tinny', "'convnext_tinny': did you mean convnext_tiny"),
    ('convnext_tiny.fb_in23k', "'convnext_tiny.fb_in23k': did you mean convnext_tiny.fb_in22k"),
    ('zzzz', 'see timm.list_models'),
    ('levit_128s', r'levit_128s gives features at strides \[16, 32, 64\]'),
    ('swin_tiny_patch4_window7_224', 'does not take images of any size: Input height'),
    ('convmixer_768_32', 'can not be made with .*dynamic_img_size'),
])  # fmt: skip
def test_wrong_names(name, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='TimmBackbone', model_name=name))


def test_other_checkpoints(tmp_path):
    """Missing, no checkpoint, of another model, in other names; and one of other classes."""
    path = tmp_path / 'weights.pth'
    model = backbone(checkpoint=str(path))
    with pytest.raises(FileNotFoundError, match='weights.pth is not there'):
        model.init_weights()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    whole = timm.create_model(NAME, num_classes=7)
    weights = whole.state_dict()
    for content in (
        b'text',
        timm.create_model('test_resnet').state_dict(),
        {f'backbone.{name}': value for name, value in weights.items()},
        {name: value for name, value in weights.items() if name != 'bn1.bias'},
    ):
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(
            BackboneWeightsError, match=r'weights.pth is not of tf_eff.* named as in timm.create'
        ):
            model.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.save(dict(state_dict=weights), path)
    model.init_weights()
    assert torch.equal(model.net.conv_stem.weight, whole.conv_stem.weight)


@pytest.mark.parametrize('name', ['test_resnet.r160_in1k', 'resnet50_mlp'])
def test_weights_that_can_not_be_downloaded(name, monkeypatch, tmp_path):
    """Without a network, and of a model for which there are none."""
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    model = MODELS.build(dict(type='TimmBackbone', model_name=name, pretrained=True))
    with pytest.raises(BackboneWeightsError, match=f'can not load the weights of {name}: set'):
        model.init_weights()
