"""The deformable convolution is mmcv's, gradients included."""

import pytest
import torch
from helpers import tiny
from mmcv.ops import modulated_deform_conv2d
from mmengine.model import BaseModule

from mmpfcn import ModulatedDeformConv
from mmpfcn.ops import deform_conv as layers
from mmpfcn.ops.deform_conv import deform_conv_by_bags, deform_conv_by_sampling


@pytest.mark.ops
@pytest.mark.parametrize('shape', [(2, 6, 9, 7), (1, 6, 1, 5), (1, 6, 1, 1)])
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('run', [deform_conv_by_sampling, deform_conv_by_bags])
def test_equal_to_the_operator_of_mmcv(shape, with_bias, run, monkeypatch):
    monkeypatch.setattr(layers, 'COLUMN_ELEMENTS', 54 * 5)  # five cells at a time
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
    out = run(*ours.values(), *([] if with_bias else [None]))
    golden = modulated_deform_conv2d(*theirs.values(), *([] if with_bias else [None]), 1, 1, 1, 1, 1)
    torch.testing.assert_close(out, golden, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(out)
    (out * weights).sum().backward()
    (golden * weights).sum().backward()
    for name in inputs:
        tolerances = dict(rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f'{n}: {m}')
        torch.testing.assert_close(ours[name].grad, theirs[name].grad, **tolerances)


@pytest.mark.parametrize('run', [deform_conv_by_sampling, deform_conv_by_bags])
def test_no_image_is_zero_rows_with_a_gradient(run):
    shapes = (0, 6, 20, 20), (0, 18, 20, 20), (0, 9, 20, 20), (4, 6, 3, 3), (4,)
    inputs = [torch.ones(shape, requires_grad=True) for shape in shapes]
    out = run(*inputs)
    assert out.shape == (0, 4, 20, 20)
    assert not torch.autograd.grad(out.sum(), inputs[3])[0].any()


@pytest.mark.parametrize('learned', [True, False])
def test_before_pytorch_2_7_bags_are_for_a_learned_input(learned, monkeypatch):
    """And for inference; the gradients are those of bags."""
    monkeypatch.setattr(layers, 'BAGS_OF_FIXED_ROWS', False)
    layer = ModulatedDeformConv(6, 4, 3, padding=1)
    x = torch.randn(1, 6, 8, 9, requires_grad=learned)
    run = deform_conv_by_bags if learned else deform_conv_by_sampling
    assert layer._choose(x) is run
    with torch.no_grad():
        assert layer._choose(x) is deform_conv_by_bags
    gradients = []
    for bags in (False, True):
        monkeypatch.setattr(layers, 'BAGS_OF_FIXED_ROWS', bags)
        gradients.append(torch.autograd.grad(layer(x).square().sum(), layer.parameters()))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_a_seed_gives_the_numbers_that_a_child_of_mmcvs_layer_has():
    """Ours inherits from no class of mmcv's; trainings of then and now begin alike."""
    from mmcv.ops import ModulatedDeformConv2d

    class Child(ModulatedDeformConv2d):
        init_weights = ModulatedDeformConv.init_weights

        def __init__(self, *settings):
            super().__init__(*settings)
            self.conv_offset = torch.nn.Conv2d(6, 27, 3, padding=1)
            self.init_weights()

    drawn = []
    for layer in (ModulatedDeformConv, Child):
        torch.manual_seed(0)
        drawn.append({**layer(6, 4, 3, 1, 1).state_dict(), 'next': torch.rand(3)})
    assert list(drawn[0]) == list(drawn[1])
    for name, value in drawn[0].items():
        assert torch.equal(value, drawn[1][name]), name


@pytest.mark.ops
def test_layer_loads_the_weights_of_mmcv():
    from mmcv.ops import ModulatedDeformConv2dPack

    theirs = ModulatedDeformConv2dPack(6, 4, 3, padding=1)
    torch.nn.init.normal_(theirs.conv_offset.weight, std=0.2)
    ours = ModulatedDeformConv(6, 4, 3, padding=1)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(2, 6, 8, 9)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.ops
@pytest.mark.parametrize('change', [dict(stride=2), dict(padding=0), dict(dilation=2), dict(deform_groups=2)])
def test_unusual_settings_fall_back_to_mmcv(change):
    settings = dict(padding=1) | change
    conv = ModulatedDeformConv(6, 4, 3, **settings)
    x = torch.randn(1, 6, 9, 9)
    plain = torch.nn.functional.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation)
    assert conv(x).shape[2:] == plain.shape[2:]


@pytest.mark.parametrize('run', [deform_conv_by_sampling, deform_conv_by_bags])
def test_a_plain_convolution_and_exact_positions(run):
    x, weight = torch.randn(2, 3, 6, 5), torch.randn(4, 3, 3, 3)
    out = run(x, torch.zeros(2, 18, 6, 5), torch.ones(2, 9, 6, 5), weight, None)
    golden = torch.nn.functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(out, golden, rtol=1e-5, atol=1e-5)
    # Column 300 is no bfloat16 number; positions have to stay float32.
    x = torch.zeros(1, 1, 1, 400)
    x[..., 301] = 1
    weight, mask = torch.zeros(1, 1, 3, 3), torch.ones(1, 9, 1, 400)
    weight[..., 1, 1] = 1
    args = [t.bfloat16() for t in (x, torch.zeros(1, 18, 1, 400), mask, weight)]
    out = run(*args, None)
    assert out.dtype == torch.bfloat16 and out[0, 0, 0].nonzero().tolist() == [[301]]


def test_columns_are_not_kept_and_offsets_move():
    """Unlike mmcv's layer the offsets do not start at zero; a parent's init_weights keeps it so."""
    parent = BaseModule()
    parent.conv = ModulatedDeformConv(64, 64, 3, padding=1, bias=True)
    parent.init_weights()
    assert parent.conv.conv_offset.weight.std().item() == pytest.approx(1 / (3 * 64 * 9) ** 0.5, rel=0.05)
    assert parent.conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert parent.conv.bias.eq(0).all()
    shapes = (1, 128, 12, 12), (1, 18, 12, 12), (1, 9, 12, 12), (8, 128, 3, 3)
    inputs = [torch.rand(shape, requires_grad=True) for shape in shapes]
    kept = []
    for run in (deform_conv_by_sampling, deform_conv_by_bags):
        with tiny.saved_for_backward() as sizes:
            out = run(*inputs, None)
        assert out.requires_grad
        kept.append(sum(sizes.values()))
    of_input = inputs[0].untyped_storage().nbytes()
    assert kept[0] > 9 * of_input
    assert kept[1] < 3 * of_input


def test_a_nan_stays_where_it_is():
    """As overflow in float16 makes it: no crash, and other cells are as they were."""
    torch.manual_seed(0)
    x, mask = torch.randn(1, 4, 6, 6), torch.rand(1, 9, 6, 6)
    offset, weight = torch.zeros(1, 18, 6, 6), torch.randn(4, 4, 3, 3)
    clean = deform_conv_by_bags(x, offset, mask, weight, None)
    offset[0, :, 2, 3] = torch.nan
    offset[0, :, 4, 4] = 1e30
    out = deform_conv_by_bags(x, offset, mask, weight, None)
    assert out[..., 2, 3].isnan().all() and out.isnan().sum() == 4
    changed = (out != clean).any(1)[0].nonzero().tolist()
    assert changed == [[2, 3], [4, 4]]


def test_the_layer_compiles_without_a_break_and_exports_ordinary_operators():
    conv = ModulatedDeformConv(6, 4, 3, padding=1).eval()
    torch.nn.init.normal_(conv.conv_offset.weight, std=0.2)
    x = torch.randn(1, 6, 8, 9)
    compiled = torch.compile(conv, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(x), conv(x), rtol=1e-5, atol=1e-5)
    exported = torch.export.export(conv, (x,))
    names = {str(node.target) for node in exported.graph.nodes if node.op == 'call_function'}
    assert any('grid_sampler' in name for name in names)
    assert not any('embedding_bag' in name or 'mmcv' in name for name in names)
    torch.testing.assert_close(exported.module()(x), conv(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('size', [(4, 6), (20, 30)])
def test_few_and_many_rows_multiply_alike(size, monkeypatch):
    """Many by oneDNN's convolution, where there is one; the same numbers and gradients."""
    torch.manual_seed(0)
    conv, x = ModulatedDeformConv(8, 6, 3, padding=1), torch.randn(2, 8, *size)
    found = []
    for fewest in (1, 10**9):
        monkeypatch.setattr(layers, 'MIN_ROWS', fewest)
        inputs = x.clone().requires_grad_()
        out = conv(inputs)
        found.append([out, *torch.autograd.grad(out.square().sum(), (inputs, *conv.parameters()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
