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


@MODELS.register_module()
class RelativeFeatureEncoder(FeatureEncoder):
    """:class:`FeatureEncoder` with the four channels of places appended to its E."""

    def __init__(self, *args, out_channels: int = 64, **kwargs) -> None:
        super().__init__(*args, out_channels=out_channels, **kwargs)
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

    def __init__(self, *args, embed_channels: int = 68, feat_channels: int = 256, **kwargs) -> None:
        super().__init__(
            *args,
            embed_channels=embed_channels - NUM_CHANNELS,
            feat_channels=feat_channels,
            **kwargs,
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
