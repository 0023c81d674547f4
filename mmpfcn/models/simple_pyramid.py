"""Features at four strides from the one map of a plain vision transformer."""

from torch import Tensor, nn


class SimplePyramid(nn.Module):
    """The simple feature pyramid of ViTDet (arXiv 2203.16527): strides 4, 8, 16 and 32 from 16.

    Transposed convolutions make the finer maps and pooling the coarser one. The map itself is
    normalised first, because the last block of a transformer leaves it of any size; the projections
    that follow in the paper are the neck's. Needs ``timm``.

    Args:
        channels: C of the map at stride 16.

    Attributes:
        out_channels: C/4, C/2, C and C.
    """

    def __init__(self, channels: int) -> None:
        from timm.layers import LayerNorm2d

        super().__init__()
        self.out_channels = [channels // 4, channels // 2, channels, channels]
        self.norm = LayerNorm2d(channels)
        self.to_4 = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 2, 2, 2),
            LayerNorm2d(channels // 2),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 2, channels // 4, 2, 2),
            LayerNorm2d(channels // 4),
        )
        self.to_8 = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 2, 2, 2), LayerNorm2d(channels // 2)
        )
        self.to_32 = nn.MaxPool2d(2)

    def forward(self, feat: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(N, C, h, w) at stride 16 to (N, c, h, w) at strides 4, 8, 16 and 32; h and w even."""
        feat = self.norm(feat)
        return self.to_4(feat), self.to_8(feat), feat, self.to_32(feat)
