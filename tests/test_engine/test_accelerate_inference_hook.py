"""The accelerated model is the same model; its numbers are in test_oracle.py."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny
from mmdet.evaluation import INSTANCE_OFFSET
from mmengine.model import ExponentialMovingAverage
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from mmpfcn import AccelerateInferenceHook, accelerate_inference
from mmpfcn.ops.winograd import WinogradConv2d


@pytest.fixture
def models():
    """A plain one with wide convolutions, and the same accelerated."""
    torch.manual_seed(0)
    wide = dict(in_channels=128, feat_channels=128, norm_cfg=dict(type='GN', num_groups=32))
    parts = dict(panoptic_head=dict(kernel_generator=wide, feature_encoder=wide), neck=dict(out_channels=128))
    thresholds = dict(center_thr=0.0, score_thr=0.0, region_thr=0.0, stuff_area_limit=1)
    changes = dict(parts, test_cfg=thresholds)
    plain, faster = tiny.build(**changes), tiny.build(**changes)
    faster.load_state_dict(plain.state_dict())
    AccelerateInferenceHook().before_test(SimpleNamespace(model=faster))
    return plain, faster


def test_it_predicts_and_trains_the_same(models):
    num_faster = sum(isinstance(module, WinogradConv2d) for module in models[1].modules())
    assert num_faster > 10
    theirs, ours = (tiny.predict(model, tiny.sample((128, 160)))[0] for model in models)
    torch.testing.assert_close(ours.pred_instances.scores, theirs.pred_instances.scores)
    a, b = (result.pred_panoptic_seg.sem_seg % INSTANCE_OFFSET for result in (ours, theirs))
    assert (a != b).float().mean() < 0.01
    plain, faster = (model.state_dict() for model in models)
    assert list(plain) == list(faster)
    assert all(torch.equal(plain[name], faster[name]) for name in plain)
    before = list(models[1].modules())
    AccelerateInferenceHook().before_test(SimpleNamespace(model=models[1]))
    assert all(a is b for a, b in zip(before, models[1].modules(), strict=True))
    gradients = []
    for model in models:
        model.zero_grad()
        sum(tiny.losses(model, tiny.sample()).values()).backward()
        gradients.append(model.panoptic_head.kernel_generator.kernel_out.weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_modules_hooks_and_computed_weights_stay():
    """Hooks that were there, and those of one who holds a module; volumes beside images."""

    def conv():
        return nn.Conv2d(128, 128, 3, padding=1)

    model = nn.Sequential(conv(), spectral_norm(conv()), nn.Sequential(conv()), conv())
    last, x, calls = model[3], torch.randn(1, 128, 32, 32), []
    model[2].append(model[0])  # used twice
    with torch.no_grad():
        expected = model.eval()(x)
    model[0].register_forward_hook(lambda *_: calls.append('before'))
    handle = model[3].register_forward_pre_hook(lambda *_: calls.append('removed'))
    modules, parameters = list(model.modules()), list(model.parameters())
    accelerate_inference(nn.ModuleList([model, nn.Conv3d(2, 2, 3)]))
    assert all(a is b for a, b in zip(modules, model.modules(), strict=True))
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    last.register_forward_hook(lambda *_: calls.append('after'))
    handle.remove()
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-4)
    assert sorted(calls) == ['after', 'before', 'before']
    assert sum(isinstance(module, WinogradConv2d) for module in model.modules()) == 3


def test_a_convolution_alone_and_its_moving_average():
    conv, x = nn.Conv2d(128, 128, 3, padding=1), torch.randn(1, 128, 32, 32)
    with torch.no_grad():
        expected = conv(x)
        accelerate_inference(conv)
        assert isinstance(conv, WinogradConv2d)
        torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-4)
    # mmengine's EMA hook swaps weights in place before a test and back after it.
    model = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1))
    accelerate_inference(model)
    ema, x = ExponentialMovingAverage(model, momentum=0.5), torch.randn(1, 128, 32, 32)
    with torch.no_grad():
        model(x)
        ema.update_parameters(model)
        model[0].weight.data.neg_()
        ema.update_parameters(model)
        for own, averaged in zip(model.parameters(), ema.module.parameters(), strict=True):
            swapped = own.data.clone()
            own.data.copy_(averaged.data)
            averaged.data.copy_(swapped)
        weight, bias = model[0].weight, model[0].bias
        expected = F.conv2d(x, weight, bias, padding=1)
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('wrapped', [
    nn.utils.weight_norm, nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm,
    nn.utils.parametrizations.spectral_norm, lambda conv: conv,
])  # fmt: skip
@pytest.mark.filterwarnings('ignore:.*weight_norm. is deprecated')
def test_computed_weights_and_unbatched_images(wrapped):
    """Also after a training step, which changes what the weight is computed from."""
    plain, faster = (nn.Sequential(wrapped(nn.Conv2d(128, 128, 3, padding=1))).eval() for _ in range(2))
    faster.load_state_dict(plain.state_dict())
    accelerate_inference(faster)
    x = torch.randn(2, 128, 16, 16)
    with torch.no_grad():
        for step in range(2):
            for image in (x, x[0]):
                torch.testing.assert_close(faster(image), plain(image), rtol=1e-3, atol=1e-3)
            for parameter in (*plain.parameters(), *faster.parameters()):
                parameter.data.copy_(parameter * (1.5 + step))
