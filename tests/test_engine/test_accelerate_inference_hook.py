"""The accelerated model is the same model; its numbers are in test_oracle.py."""

from types import SimpleNamespace

import pytest
import torch
from helpers import tiny
from mmdet.evaluation import INSTANCE_OFFSET

from mmpfcn import AccelerateInferenceHook
from mmpfcn.ops.winograd import WinogradConv2d


@pytest.fixture(scope='module')
def models():
    """A plain one with wide convolutions, and the same accelerated."""
    torch.manual_seed(0)
    wide = dict(feat_channels=128, norm_cfg=dict(type='GN', num_groups=32))
    changes = dict(
        panoptic_head=dict(kernel_generator=wide, feature_encoder=wide),
        neck=dict(out_channels=128),
        test_cfg=dict(center_thr=0.0, score_thr=0.0, region_thr=0.0, stuff_area_limit=1),
    )
    for part in wide, wide:
        part.update(in_channels=128)
    plain, faster = tiny.build(**changes), tiny.build(**changes)
    faster.load_state_dict(plain.state_dict())
    AccelerateInferenceHook().before_test(SimpleNamespace(model=faster))
    return plain, faster


def test_it_predicts_the_same(models):
    num_faster = sum(isinstance(module, WinogradConv2d) for module in models[1].modules())
    assert num_faster > 10
    theirs, ours = (tiny.predict(model, tiny.sample((128, 160)))[0] for model in models)
    torch.testing.assert_close(ours.pred_instances.scores, theirs.pred_instances.scores)
    a, b = (result.pred_panoptic_seg.sem_seg % INSTANCE_OFFSET for result in (ours, theirs))
    assert (a != b).float().mean() < 0.01


def test_names_and_values_of_the_parameters_stay(models):
    plain, faster = (model.state_dict() for model in models)
    assert list(plain) == list(faster)
    assert all(torch.equal(plain[name], faster[name]) for name in plain)


def test_a_second_time_changes_nothing(models):
    before = list(models[1].modules())
    AccelerateInferenceHook().before_test(SimpleNamespace(model=models[1]))
    assert all(a is b for a, b in zip(before, models[1].modules(), strict=True))


def test_it_trains_as_before(models):
    gradients = []
    for model in models:
        model.zero_grad()
        sum(tiny.losses(model, tiny.sample()).values()).backward()
        gradients.append(model.panoptic_head.kernel_generator.kernel_out.weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)
