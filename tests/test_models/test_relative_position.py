"""Kernels that know where they stand: the channels of places are a paraboloid around the cell."""

import math

import pytest
import torch
from helpers import tiny

from mmpfcn import RelativeFeatureEncoder, RelativeKernelGenerator
from mmpfcn.models.panoptic_fcn_head import convolve
from mmpfcn.models.relative_position import measure_places, move_places

NORM = dict(type='GN', num_groups=4)
PARTS = dict(
    kernel_generator=dict(type='RelativeKernelGenerator'), feature_encoder=dict(type='RelativeFeatureEncoder')
)


def relative_model(**test_cfg):
    return tiny.build(panoptic_head=PARTS, test_cfg=test_cfg)


@pytest.mark.parametrize('size', [(64, 128), (192, 64)])
def test_a_kernel_draws_a_paraboloid_around_its_cell(size):
    """b - a |x - c|^2 in cells of P3, whatever the kernel's level, where nothing is learned."""
    torch.manual_seed(0)
    width = dict(in_channels=8, feat_channels=8, embed_channels=8, norm_cfg=NORM, position_conv_cfg=None)
    generator = RelativeKernelGenerator(num_things_classes=2, num_region_channels=3, **width)
    encoder = RelativeFeatureEncoder(in_channels=8, feat_channels=8, out_channels=4, norm_cfg=NORM)
    generator.init_weights()
    torch.nn.init.zeros_(generator.thing_embed.embed.weight)
    feats = [torch.randn(1, 8, size[0] >> i, size[1] >> i) for i in range(2, 7)]
    mask_feats = encoder(feats[:4])[0].double()
    ys, xs = torch.meshgrid(*((torch.arange(n) + 0.5) / 2 for n in mask_feats.shape[1:]), indexing='ij')
    for number, maps in enumerate(generator(feats[1:])):
        h, w = maps.kernels.shape[-2:]
        row, column = h - 1, w // 2
        kernel = generator.thing_embed(maps.kernels[0, :, row, column])
        log_a, b = generator.thing_embed.shape(maps.kernels[0, :-3, row, column])
        side = 2**number
        a = (log_a - 1.4).exp() / side**2
        distance = (xs - (column + 0.5) * side) ** 2 + (ys - (row + 0.5) * side) ** 2
        drawn = convolve(kernel[None].double(), mask_feats)[0]
        assert torch.allclose(drawn.float(), b - a * distance, atol=1e-3)


def test_regions_have_no_place():
    model = relative_model()
    kernels = torch.randn(5, 19)
    assert model.panoptic_head.kernel_generator.stuff_embed(kernels)[:, -4:].abs().max() == 0


def test_every_parameter_is_trained():
    model = relative_model()
    sum(tiny.losses(model, tiny.sample()).values()).backward()
    assert all(p.grad is not None for p in model.panoptic_head.parameters())


def test_an_image_of_a_batch_has_what_it_has_alone():
    model = relative_model().eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        levels, feats = model.panoptic_head(model.extract_feat(images))
        alone, alone_feats = model.panoptic_head(model.extract_feat(images[1:]))
    assert torch.allclose(feats[1:], alone_feats, atol=1e-5)
    for both, one in zip(levels, alone, strict=True):
        assert torch.allclose(both.kernels[1:], one.kernels, atol=1e-5)


@pytest.mark.parametrize('name', ['kernel_generator', 'feature_encoder'])
def test_only_one_of_the_two_is_refused(name):
    with pytest.raises(ValueError, match='RelativeKernelGenerator and RelativeFeatureEncoder go'):
        tiny.build(panoptic_head={name: PARTS[name]})


def paraboloid(a, x, y, b):
    return torch.tensor([[0.5, -a, 2 * a * x, 2 * a * y, b - a * (x**2 + y**2)]])


def test_pixels_measured_by_a_paraboloid():
    """Places and sizes of objects are not in the measures, but how well the two fit is."""
    for x, y, size in ((0, 0, 1), (7, -3, 2), (-40, 60, 0.5)):
        kernel = paraboloid(0.25 / size**2, x, y, 1.5)
        place = torch.tensor([x + 2 * size, y - size])  # of the pixels, as wide as three units
        pooled = torch.cat([torch.zeros(1), (place.square().sum() + 9 * size**2)[None], place, torch.ones(1)])
        measures = measure_places(kernel, pooled[None])[0]
        expected = [1, -0.5, 9 / 4, math.log(0.5 / size), 1.5]
        assert measures.tolist() == pytest.approx(expected, abs=2e-3)


def test_a_paraboloid_moves():
    """By so many of its own units, where it has become wider or narrower by a factor."""
    kernel, growth = paraboloid(0.25, 7, -3, 1.5), math.exp(math.tanh(-0.4))
    moved = kernel[:, 1:] + move_places(kernel, torch.tensor([[-0.4, 1.0, -2.0, 0.5]]))
    s = 0.5 * growth
    expected = paraboloid(s**2, 7 + 1 / s, -3 - 2 / s, 2.0)[:, 1:]
    assert torch.allclose(moved, expected, atol=1e-5)
    assert not move_places(kernel, torch.zeros(1, 4)).any()
    region = torch.zeros(1, 5)
    assert move_places(region, torch.tensor([[1.0, 0, 0, 0.5]]))[0].tolist() == pytest.approx(
        [0, 0, 0, 0.5], abs=1e-6
    )
