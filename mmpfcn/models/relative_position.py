"""Kernels that know where they stand: masks fall off with the distance from the kernel's cell.

Look-alikes have kernels that point the same way, and then each draws all of them. Here a kernel is
convolved with four more channels, on which it is the polynomial ``b - a |x - c|^2``: c is the place
of its cell, and a and b come from the kernel. It stays one 1 x 1 convolution. Relative coordinates
are those of CondInst (arXiv 2003.05664); as channels of the one feature map they are ours.
"""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import normal_init
from torch import Tensor, nn

from ..structures import LevelMaps
from .feature_encoder import FeatureEncoder
from .kernel_generator import KernelGenerator

NUM_CHANNELS = 4
"""x^2 + y^2, x, y and 1."""

NUM_MEASURES = 5
"""Of :func:`measure_places`."""


@MODELS.register_module()
class RelativeFeatureEncoder(FeatureEncoder):
    """:class:`FeatureEncoder` with the four channels of places appended to its E."""

    num_place_channels = NUM_CHANNELS

    def __init__(
        self,
        in_channels: int = 256,
        feat_channels: int = 256,
        out_channels: int = 64,
        num_convs: int = 3,
        num_levels: int = 4,
        conv_cfg: dict | None = None,
        norm_cfg: dict = dict(type='GN', num_groups=32),  # noqa: B006 (never modified)
    ) -> None:
        super().__init__(
            in_channels, feat_channels, out_channels, num_convs, num_levels, conv_cfg, norm_cfg
        )
        self.out_channels = out_channels + NUM_CHANNELS

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        x = super().forward(feats)
        columns, rows = places(x, 2)
        squares = columns.square() + rows.square()
        ones = torch.ones_like(squares)
        extra = torch.stack([squares, columns, rows, ones]).expand(x.shape[0], -1, -1, -1)
        return torch.cat([x, extra], 1)


@MODELS.register_module()
class RelativeKernelGenerator(KernelGenerator):
    """:class:`KernelGenerator` whose kernels of things carry their place to the embedding.

    Maps of kernels get three more channels: x and y of the cell, and its side, in cells of P3.
    """

    num_place_channels = NUM_CHANNELS

    def __init__(
        self,
        num_things_classes: int,
        num_region_channels: int,
        in_channels: int = 256,
        feat_channels: int = 256,
        embed_channels: int = 68,
        num_convs: int = 3,
        position_conv_cfg: dict | None = dict(type='ModulatedDeformConv'),  # noqa: B006
        norm_cfg: dict = dict(type='GN', num_groups=32),  # noqa: B006 (never modified)
    ) -> None:
        super().__init__(
            num_things_classes,
            num_region_channels,
            in_channels,
            feat_channels,
            embed_channels - NUM_CHANNELS,
            num_convs,
            position_conv_cfg,
            norm_cfg,
        )
        self.thing_embed = RelativeEmbedding(feat_channels, embed_channels - NUM_CHANNELS)
        self.stuff_embed = PlacelessEmbedding(feat_channels, embed_channels - NUM_CHANNELS)

    def init_weights(self) -> None:
        super().init_weights()
        self.thing_embed.init_weights()
        self.stuff_embed.init_weights()

    def forward(self, feats: Sequence[Tensor]) -> list[LevelMaps]:
        levels = []
        width = feats[0].shape[-1]
        for maps in super().forward(feats):
            kernels = maps.kernels
            side = width / kernels.shape[-1]
            columns, rows = places(kernels, 1 / side)
            place = torch.stack([columns, rows, torch.full_like(rows, side)])
            kernels = torch.cat([kernels, place.expand(kernels.shape[0], -1, -1, -1)], 1)
            levels.append(maps._replace(kernels=kernels))
        return levels


class RelativeEmbedding(nn.Module):
    """(..., C + 3) with place and side to (..., E + 4)."""

    def __init__(self, feat_channels: int, embed_channels: int) -> None:
        super().__init__()
        self.embed = nn.Linear(feat_channels, embed_channels)
        self.shape = nn.Linear(feat_channels, 2)

    @property
    def weight(self) -> Tensor:
        return self.embed.weight

    @property
    def bias(self) -> Tensor:
        return self.embed.bias

    def init_weights(self) -> None:
        normal_init(self.embed, std=0.01)
        normal_init(self.shape, std=0.01)

    def forward(self, kernels: Tensor) -> Tensor:
        kernels, (x, y, side) = kernels[..., :-3], kernels[..., -3:].unbind(-1)
        log_sharpness, peak = self.shape(kernels).unbind(-1)
        a = (log_sharpness - 1.4).clamp(max=6).exp() / side.clamp(min=1e-3).square()
        parabola = torch.stack([-a, 2 * a * x, 2 * a * y, peak - a * (x.square() + y.square())], -1)
        return torch.cat([self.embed(kernels), parabola], -1)


class PlacelessEmbedding(nn.Linear):
    """(..., C + 3) to (..., E + 4), of which the last four are zero."""

    def init_weights(self) -> None:
        normal_init(self, std=0.01)

    def forward(self, kernels: Tensor) -> Tensor:
        return nn.functional.pad(super().forward(kernels[..., :-3]), (0, NUM_CHANNELS))


def places(like: Tensor, cells: float) -> tuple[Tensor, Tensor]:
    """x and y of every cell from the map's middle, (h, w) each, where ``cells`` cells are 1."""
    h, w = like.shape[-2:]
    y, x = (
        (torch.arange(side, device=like.device).float() + 0.5 - side / 2) / cells for side in (h, w)
    )
    return x.expand(h, w), y[:, None].expand(h, w)


def measure_places(kernels: Tensor, pooled: Tensor) -> Tensor:
    """Where the pixels of kernels lie, as the kernels' paraboloids ``b - |s (p - c)|^2`` see it.

    Args:
        kernels: (n, E), the last four for the channels of places.
        pooled: (n, E), means of mask_feats over the pixels of each kernel; 0 without pixels.

    Returns:
        (n, 5): x and y of the mass centre from c in units of 1/s, the pixels' variance in these
        units, log s and b. Places in the image and sizes are in none of them but s.
    """
    s, u, peak = _paraboloid(kernels)
    squares, means = pooled[:, -4:-3], pooled[:, -3:-1]
    variance = s.square() * (squares - means.square().sum(1, keepdim=True))
    return torch.cat([s * means - u, variance, s.log(), peak], 1).clamp(-8, 8)


def move_places(kernels: Tensor, change: Tensor) -> Tensor:
    """What to add to the last four channels of kernels, so that their paraboloids change.

    Args:
        kernels: (n, E).
        change: (n, 4): growth of log s (its tanh), shift of c in x and y in units of 1/s after
            that, and growth of b. Nothing is added for zeros.

    Returns:
        (n, 4).
    """
    s, u, _ = _paraboloid(kernels)
    growth, shift, lift = change[:, :1].tanh().exp(), change[:, 1:3], change[:, 3:]
    more = growth.square() - 1
    slope = 2 * s * (u * more + growth * shift)
    fall = u.square() * more + 2 * growth * u * shift + shift.square()
    return torch.cat([-s.square() * more, slope, lift - fall.sum(1, keepdim=True)], 1)


def _paraboloid(kernels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s (n, 1), s c (n, 2) and b (n, 1) of ``b - |s (p - c)|^2``; regions have s near 0."""
    minus_square, slope, constant = kernels[:, -4:-3], kernels[:, -3:-1], kernels[:, -1:]
    s = (-minus_square).clamp(min=1e-8).sqrt()
    u = slope / (2 * s)
    return s, u, constant + u.square().sum(1, keepdim=True)


def num_place_channels(part: nn.Module) -> int:
    """How many channels of places a kernel generator or feature encoder appends; 0 for others'."""
    return getattr(part, 'num_place_channels', 0)


def check_place_channels(generator: nn.Module, encoder: nn.Module) -> None:
    """Raise ValueError when one of the two has channels of places and the other has none."""
    if num_place_channels(generator) != num_place_channels(encoder):
        raise ValueError(
            f'panoptic_head.kernel_generator is a {type(generator).__name__} and feature_encoder a '
            f'{type(encoder).__name__}: RelativeKernelGenerator and RelativeFeatureEncoder go '
            'together, use both or KernelGenerator and FeatureEncoder'
        )
