"""Layers that the heads share."""

import torch
import torch.nn.functional as F
from mmcv.ops import ModulatedDeformConv2dPack
from mmengine.registry import MODELS
from torch import Tensor, nn


def append_coordinates(x: Tensor) -> Tensor:
    """Append a row ramp and a column ramp, each linspace(-1, 1) over the padded map (CoordConv).

    Args:
        x: (N, C, h, w).

    Returns:
        (N, C + 2, h, w), the row ramp first.
    """
    n, _, h, w = x.shape
    rows = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype).view(1, 1, h, 1)
    columns = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype).view(1, 1, 1, w)
    return torch.cat([x, rows.expand(n, 1, h, w), columns.expand(n, 1, h, w)], dim=1)


def deform_conv_by_sampling(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Modulated deformable convolution (DCNv2, arXiv 1811.11168) from ordinary operators.

    Stride 1, "same" padding, one group. One ``grid_sample`` and one matrix product per tap, so
    no column matrix of 9 times the input is built. On a CPU it is faster than mmcv's operator
    (docs/benchmarks.md) and gives the same numbers.

    Args:
        x: (N, C, h, w).
        offset: (N, 2 * kh * kw, h, w) in cells, (dy, dx) per tap.
        mask: (N, kh * kw, h, w) in [0, 1].
        weight: (O, C, kh, kw).
        bias: (O,) or None.

    Returns:
        (N, O, h, w).
    """
    n, _, h, w = x.shape
    kh, kw = weight.shape[2:]
    rows = torch.arange(h, device=x.device, dtype=x.dtype).view(h, 1)
    columns = torch.arange(w, device=x.device, dtype=x.dtype)
    out = None
    for tap in range(kh * kw):
        y = rows + (tap // kw - kh // 2) + offset[:, 2 * tap]
        x_ = columns + (tap % kw - kw // 2) + offset[:, 2 * tap + 1]
        # cell centres sit at (2 i + 1) / size - 1 when align_corners is False
        grid = torch.stack([(2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1], dim=-1)
        sampled = F.grid_sample(x, grid, align_corners=False) * mask[:, tap, None]
        part = weight[:, :, tap // kw, tap % kw] @ sampled.flatten(2)  # (O, C) x (N, C, hw)
        out = part if out is None else out + part
    if bias is not None:
        out = out + bias[:, None]
    return out.view(n, -1, h, w)


# In mmengine's root registry, because mmcv's ConvModule looks a layer up in whatever registry is
# current and every registry falls back to the root.
@MODELS.register_module()
class ModulatedDeformConv(ModulatedDeformConv2dPack):
    """mmcv's ``DCNv2`` layer with the initialisation of Panoptic FCN and a fast CPU path.

    The offsets and the mask come from one ordinary convolution which, unlike in mmcv, keeps
    PyTorch's default initialisation; the weight is Kaiming-uniform for ReLU. Parameters have
    mmcv's names. CUDA runs mmcv's operator, the CPU :func:`deform_conv_by_sampling`.
    """

    def init_weights(self) -> None:
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if hasattr(self, 'conv_offset'):  # mmcv's constructor calls this once before it exists
            self.conv_offset.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, h, w) to (N, O, h, w)."""
        if x.is_cuda or not self._is_plain:
            return super().forward(x)
        taps = self.kernel_size[0] * self.kernel_size[1]
        offset, mask = self.conv_offset(x).split([2 * taps, taps], dim=1)
        return deform_conv_by_sampling(x, offset, mask.sigmoid(), self.weight, self.bias)

    @property
    def _is_plain(self) -> bool:
        """Stride 1, "same" padding, no dilation, no groups: all that Panoptic FCN uses."""
        same = tuple(k // 2 for k in self.kernel_size)
        return (
            self.stride == (1, 1)
            and self.padding == same
            and self.dilation == (1, 1)
            and self.groups == self.deform_groups == 1
        )
