"""The paper's kernel generator: where the objects and regions are, and a kernel for each cell."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule, ModuleList, normal_init
from torch import Tensor, nn

from ..structures import LevelMaps
from .layers import append_coordinates


@MODELS.register_module()
class KernelGenerator(BaseModule):
    """Position head, kernel head and the two kernel embeddings, shared by all levels.

    Args:
        num_things_classes: T.
        num_region_channels: R; see :mod:`mmpfcn.structures`.
        in_channels: channels of the pyramid.
        feat_channels: width of both heads, and C.
        embed_channels: E, the width of ``mask_feats``.
        num_convs: convolutions of each head before its output.
        position_conv_cfg: type of the position head's convolutions; None for plain ones.
        norm_cfg: norm of both heads.
    """

    num_place_channels = 0

    def __init__(
        self,
        num_things_classes: int,
        num_region_channels: int,
        in_channels: int = 256,
        feat_channels: int = 256,
        embed_channels: int = 64,
        num_convs: int = 3,
        position_conv_cfg: dict | None = dict(type='ModulatedDeformConv'),  # noqa: B006
        norm_cfg: dict = dict(type='GN', num_groups=32),  # noqa: B006 (never modified)
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        widths = [feat_channels] * num_convs
        self.position_convs = ModuleList(
            ConvModule(c_in, c_out, 3, padding=1, conv_cfg=position_conv_cfg, norm_cfg=norm_cfg)
            for c_in, c_out in zip([in_channels, *widths], widths, strict=False)
        )
        self.center_out = nn.Conv2d(feat_channels, num_things_classes, 3, padding=1)
        self.region_out = nn.Conv2d(feat_channels, num_region_channels, 3, padding=1)
        self.kernel_convs = ModuleList(
            ConvModule(c_in, c_out, 3, padding=1, norm_cfg=norm_cfg)
            for c_in, c_out in zip([in_channels + 2, *widths], widths, strict=False)
        )
        self.kernel_out = nn.Conv2d(feat_channels, feat_channels, 3, padding=1)
        self.thing_embed = nn.Linear(feat_channels, embed_channels)
        self.stuff_embed = nn.Linear(feat_channels, embed_channels)

    def init_weights(self) -> None:
        super().init_weights()
        for module in self.kernel_convs:  # the published code keeps PyTorch's default here
            module.conv.reset_parameters()
        for layer in (self.center_out, self.region_out):
            normal_init(layer, std=0.01, bias=-2.19)  # probability 0.1 at the start
        for layer in (self.kernel_out, self.thing_embed, self.stuff_embed):
            normal_init(layer, std=0.01)

    def forward(self, feats: Sequence[Tensor]) -> list[LevelMaps]:
        """Predict centres, regions and kernels for P3.., each feature (N, in_channels, h, w)."""
        return [self._forward_level(feat) for feat in feats]

    def _forward_level(self, feat: Tensor) -> LevelMaps:
        position, kernel = feat, append_coordinates(feat)
        for conv in self.position_convs:
            position = conv(position)
        for conv in self.kernel_convs:
            kernel = conv(kernel)
        return LevelMaps(
            self.center_out(position), self.region_out(position), self.kernel_out(kernel)
        )
