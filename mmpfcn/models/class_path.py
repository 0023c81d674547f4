"""A short way from a backbone with ImageNet weights to the classes of centres and regions.

Such features tell classes apart by a linear function, which a neck and heads from scratch have to
find again; a few hundred images are not enough for that. It is not in the paper.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from ..structures import LevelMaps


@MODELS.register_module()
class ClassPath(BaseModule):
    """Logits from the backbone's last features, added to the centres and regions of every level.

    Normalised features at the stride of the first, one 1 x 1 convolution that starts at zero. Its
    gradient does not reach the backbone.

    Args:
        in_channels: of the last features of the backbone, which :class:`PanopticFCN` gives to the
            head behind those of the neck.
        num_things_classes: T; the head gives it.
        num_region_channels: R; the head gives it.
        drop_rate: share of the channels that a training step leaves out.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_things_classes: int,
        num_region_channels: int,
        drop_rate: float = 0.5,
    ) -> None:
        super().__init__()
        self.in_channels = tuple(in_channels)
        self.num_channels = [num_things_classes, num_region_channels]
        self.norms = ModuleList(nn.BatchNorm2d(c, affine=False) for c in in_channels)
        self.dropout = nn.Dropout2d(drop_rate)
        self.out = nn.Conv2d(sum(in_channels), sum(self.num_channels), 1)
        for parameter in self.out.parameters():  # here: a test of older weights initialises nothing
            nn.init.zeros_(parameter)

    def forward(self, levels: Sequence[LevelMaps], feats: Sequence[Tensor]) -> list[LevelMaps]:
        """Add to the maps of P3..P7 what the features (N, in_channels[i], h_i, w_i) say.

        Raises:
            ValueError: the features have other channels.
        """
        channels = tuple(feat.shape[1] for feat in feats)
        if channels != self.in_channels:
            raise ValueError(
                f'panoptic_head.class_path has in_channels={self.in_channels}, but the features '
                f'before the neck have {channels}: they are the last ones of the backbone, which '
                'PanopticFCN gives to the head'
            )
        feats = [
            resize(norm(feat.detach()), feats[0])
            for norm, feat in zip(self.norms, feats, strict=True)
        ]
        logits = self.out(self.dropout(torch.cat(feats, 1)))
        added = []
        for maps in levels:
            centers, regions = resize(logits, maps.centers).split(self.num_channels, 1)
            added.append(
                maps._replace(centers=maps.centers + centers, regions=maps.regions + regions)
            )
        return added


def resize(x: Tensor, like: Tensor) -> Tensor:
    """(N, C, h, w) to the height and width of another map."""
    return F.interpolate(x, size=like.shape[-2:], mode='bilinear', align_corners=False)
