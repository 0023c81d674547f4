"""What docs/extend.md says: strangers in every slot of the head."""

import re

import pytest
import torch
from helpers import tiny
from helpers.oracle import ROOT
from mmdet.registry import METRICS, MODELS

from mmpfcn import PanopticFCNHead
from mmpfcn.models.losses import map_loss

TEXT = (ROOT / 'docs' / 'extend.md').read_text()
CODE = re.findall(r'```python\n(.*?)```', TEXT, re.S)
WITH_DELETE = ('_delete_',)


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """The page's classes, unregistered afterwards."""
    own = set(re.findall(r'register_module\(\)\nclass (\w+)', '\n'.join(CODE)))
    for registry in (MODELS, METRICS):  # the page's commands may have run in this process before
        others = {k: v for k, v in registry._module_dict.items() if k not in own}
        monkeypatch.setattr(registry, '_module_dict', others)
    found = []
    for code in CODE:
        scope = {}
        exec(code, scope)
        found.append(scope)
    return found


def build(**slots) -> torch.nn.Module:
    """The tiny model with parts in place of others."""
    config = tiny.config()
    for name, part in slots.items():
        config.panoptic_head[name] = {k: v for k, v in part.items() if k not in WITH_DELETE}
    model = MODELS.build(config)
    model.init_weights()
    return model


def test_examples_are_short_and_run():
    assert max(code.count('\n') for code in CODE) <= 25
    metric = METRICS.build(dict(type='SegmentCount'))
    sample = dict(pred_panoptic_seg=dict(segments_info=[1, 2, 3]))
    metric.process(None, [sample, dict(pred_panoptic_seg=dict(segments_info=[1]))])
    assert metric.evaluate(2) == dict(segments=2)
    encoder = dict(type='PlainEncoder', in_channels=16, out_channels=8)
    model = build(feature_encoder=encoder, kernel_generator=dict(type='PlainGenerator', in_channels=16))
    sum(tiny.losses(model, tiny.sample()).values()).backward()
    assert all(p.grad is not None for p in model.panoptic_head.parameters())


def test_a_loss_with_a_parameter_is_trained_by_finite_differences(names):
    model = build(**names[0]['head'])
    sum(tiny.losses(model, tiny.sample()).values()).backward()
    assert model.panoptic_head.loss_center.scale.grad != 0
    model = build(**names[0]['head']).double()
    scale = model.panoptic_head.loss_center.scale
    levels = [torch.randn(2, 3, 4, 5).double(), torch.randn(2, 3, 2, 3).double()]
    targets = [torch.rand_like(level) for level in levels]

    def total(value):
        with torch.no_grad():
            scale.fill_(value)
        loss = model.panoptic_head.loss_center
        return sum(map_loss(loss, x, t, 7) for x, t in zip(levels, targets, strict=True))

    step = 1e-6
    expected = (total(1.3 + step) - total(1.3 - step)).item() / (2 * step)
    total(1.3).backward()
    assert scale.grad.item() == pytest.approx(expected, rel=1e-7)


def test_mmdets_losses_are_as_good(names):
    slots = names[1]['head']
    model = build(**slots)
    losses = tiny.losses(model, tiny.sample())
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    assert all(p.grad is not None for p in model.panoptic_head.parameters())
    model = build()
    before = tiny.losses(model, tiny.sample())
    dice = dict(type='DiceLoss', eps=1e-8, loss_weight=3.0)
    model.panoptic_head.loss_thing = model.panoptic_head.loss_stuff = MODELS.build(dice)
    after = tiny.losses(model, tiny.sample())
    for name in before:
        torch.testing.assert_close(after[name], before[name])
    config = tiny.config()
    config.train_cfg = None
    with pytest.raises(ValueError, match='built without train_cfg'):
        tiny.losses(MODELS.build(config), tiny.sample())


@pytest.mark.parametrize('num_stuff_classes', [249, 250])
def test_label_255_is_void(num_stuff_classes):
    config = tiny.config().panoptic_head
    config.num_stuff_classes = num_stuff_classes
    if num_stuff_classes == 249:
        assert isinstance(MODELS.build(config), PanopticFCNHead)
        return
    with pytest.raises(ValueError, match='256 together, expected at most 255'):
        MODELS.build(config)


def test_the_best_object_is_found_alone():
    torch.manual_seed(0)
    model = tiny.build(test_cfg=dict(center_thr=0.0, max_per_img=1))
    levels, mask_feats = model.panoptic_head([torch.randn(1, 16, 64 >> i, 64 >> i) for i in range(6)])
    [things] = model.panoptic_head.thing_kernels(levels)
    assert len(things) == len(levels)


@pytest.mark.parametrize('field', ['centers', 'regions', 'kernels'])
def test_not_finite_maps_are_an_error(field):
    model = tiny.build().eval()
    with torch.no_grad():
        levels, feats = model.panoptic_head([torch.randn(1, 16, 64 >> i, 64 >> i) for i in range(6)])
        getattr(levels[0], field)[:, 0] = torch.nan
        with pytest.raises(ValueError, match='the network gave NaN'):
            model.panoptic_head.predict_by_feat(levels, feats)
