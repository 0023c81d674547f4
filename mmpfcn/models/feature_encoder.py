"""The paper's feature encoder: the one high-resolution map on which every kernel is convolved."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.layers import ConvUpsample
from mmdet.registry import MODELS
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from .layers import append_coordinates


@MODELS.register_module()
class FeatureEncoder(BaseModule):
    """Semantic FPN over P2..P5 summed at stride 4, coordinates, then convolutions to E channels.

    Args:
        in_channels: channels of the pyramid.
        feat_channels: channels of the semantic FPN.
        out_channels: E; 64, or 256 in the star variant.
        num_convs: convolutions after the sum.
        num_levels: pyramid levels that are summed, P2 first.
        conv_cfg: type of these convolutions; ``dict(type='ModulatedDeformConv')`` in the star
            variant, None for plain ones.
        norm_cfg: norm of the semantic FPN (the convolutions after the sum have none).
    """

    num_place_channels = 0

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
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_levels = num_levels
        self.semantic_fpn = ModuleList(
            ConvUpsample(
                in_channels,
                feat_channels,
                num_layers=max(level, 1),
                num_upsample=level,
                norm_cfg=norm_cfg,
            )
            for level in range(num_levels)
        )
        widths = [feat_channels + 2] + [out_channels] * num_convs
        self.convs = ModuleList(
            ConvModule(widths[i], widths[i + 1], 3, padding=1, conv_cfg=conv_cfg)
            for i in range(num_convs)
        )

    def init_weights(self) -> None:
        super().init_weights()
        for module in self.convs:
            if isinstance(module.conv, nn.Conv2d):  # the published code keeps PyTorch's default
                module.conv.reset_parameters()

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Encode the pyramid.

        Args:
            feats: P2.., each (N, in_channels, h, w), every level half the size of the one before.

        Returns:
            mask_feats (N, E, H/4, W/4).

        Raises:
            ValueError: when the number of levels or their sizes do not fit.
        """
        if len(feats) != self.num_levels:
            raise ValueError(
                f'FeatureEncoder was built for num_levels={self.num_levels} pyramid levels '
                f'but got {len(feats)}'
            )
        h, w = feats[0].shape[-2:]
        for level, feat in enumerate(feats):
            if (feat.shape[-2] << level, feat.shape[-1] << level) != (h, w):
                raise ValueError(
                    f'FeatureEncoder needs every level at half the size of the one before, got '
                    f'{[tuple(f.shape[-2:]) for f in feats]}: pad the input to a multiple of 32 '
                    '(data_preprocessor.pad_size_divisor=32)'
                )
        x = sum(branch(feat) for branch, feat in zip(self.semantic_fpn, feats, strict=True))
        x = append_coordinates(x)
        for conv in self.convs:
            x = conv(x)
        return x
