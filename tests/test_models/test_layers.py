"""The deformable convolution is mmcv's, gradients included."""

import pytest
import torch
from mmcv.ops import modulated_deform_conv2d
from mmengine.model import BaseModule

from mmpfcn import ModulatedDeformConv
from mmpfcn.models.layers import append_coordinates, deform_conv_by_sampling


@pytest.mark.parametrize('shape', [(2, 6, 9, 7), (1, 6, 1, 5), (1, 6, 1, 1)])
@pytest.mark.parametrize('with_bias', [True, False])
def test_sampling_equals_the_operator_of_mmcv(shape, with_bias):
    n, c, h, w = shape
    inputs = dict(
        x=torch.randn(shape),
        offset=torch.randn(n, 18, h, w) * 3,  # far beyond the border for some
        mask=torch.rand(n, 9, h, w),
        weight=torch.randn(4, c, 3, 3),
    )
    if with_bias:
        inputs['bias'] = torch.randn(4)
    ours = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    theirs = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    out = deform_conv_by_sampling(*ours.values(), *([] if with_bias else [None]))
    golden = modulated_deform_conv2d(
        *theirs.values(), *([] if with_bias else [None]), 1, 1, 1, 1, 1
    )
    torch.testing.assert_close(out, golden, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (golden * weights).sum().backward()
    for name in inputs:
        torch.testing.assert_close(
            ours[name].grad,
            theirs[name].grad,
            rtol=1e-4,
            atol=1e-4,
            msg=lambda m, n=name: f'{n}: {m}',
        )


def test_layer_loads_the_weights_of_mmcv():
    from mmcv.ops import ModulatedDeformConv2dPack

    theirs = ModulatedDeformConv2dPack(6, 4, 3, padding=1)
    torch.nn.init.normal_(theirs.conv_offset.weight, std=0.2)
    ours = ModulatedDeformConv(6, 4, 3, padding=1)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 6, 8, 9)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    'change', [dict(stride=2), dict(padding=0), dict(dilation=2), dict(deform_groups=2)]
)
def test_unusual_settings_fall_back_to_mmcv(change):
    settings = dict(padding=1) | change
    conv = ModulatedDeformConv(6, 4, 3, **settings)
    x = torch.randn(1, 6, 9, 9)
    out = conv(x)
    assert (
        out.shape[2:]
        == torch.nn.functional.conv2d(
            x, conv.weight, None, conv.stride, conv.padding, conv.dilation
        ).shape[2:]
    )


def test_zero_offsets_and_full_masks_are_a_plain_convolution():
    x, weight = torch.randn(2, 3, 6, 5), torch.randn(4, 3, 3, 3)
    out = deform_conv_by_sampling(x, torch.zeros(2, 18, 6, 5), torch.ones(2, 9, 6, 5), weight, None)
    golden = torch.nn.functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(out, golden, rtol=1e-5, atol=1e-5)


def test_initialisation_moves_the_offsets():
    """Unlike mmcv's layer the offsets do not start at zero; a parent's init_weights keeps it so."""
    parent = BaseModule()
    parent.conv = ModulatedDeformConv(64, 64, 3, padding=1, bias=True)
    parent.init_weights()
    assert parent.conv.conv_offset.weight.std().item() == pytest.approx(
        1 / (3 * 64 * 9) ** 0.5, rel=0.05
    )
    assert parent.conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert parent.conv.bias.eq(0).all()


def test_coordinates_of_one_row_or_column():
    out = append_coordinates(torch.zeros(2, 1, 1, 3))
    assert out[:, 1].eq(-1).all()
    assert out[0, 2, 0].tolist() == [-1, 0, 1]
