"""What the heads and the encoder share: coordinates, and kernels on features."""

import torch
from torch import Tensor


def append_coordinates(x: Tensor) -> Tensor:
    """Append a row ramp and a column ramp, each linspace(-1, 1) over the padded map (CoordConv).

    Args:
        x: (N, C, h, w).

    Returns:
        (N, C + 2, h, w), the row ramp first.
    """
    n, _, h, w = x.shape
    rows, columns = (_ramp(side, x).view(1, 1, *view) for side, view in ((h, (h, 1)), (w, (1, w))))
    return torch.cat([x, rows.expand(n, 1, h, w), columns.expand(n, 1, h, w)], dim=1)


def _ramp(size: int, like: Tensor) -> Tensor:
    """linspace(-1, 1), (size,)."""
    if torch.onnx.is_in_onnx_export():  # what the exporter makes of linspace is NaN for one cell
        steps = torch.arange(size, device=like.device).to(like.dtype)
        return 2 * steps / steps[-1:].clamp(min=1) - 1
    return torch.linspace(-1, 1, size, device=like.device, dtype=like.dtype)


def convolve(kernels: Tensor, mask_feats: Tensor) -> Tensor:
    """Every kernel as a 1 x 1 convolution: (K, E) x (E, H/4, W/4) -> logits (K, H/4, W/4).

    Both may have further dimensions in front.
    """
    return (kernels @ mask_feats.flatten(-2)).unflatten(-1, mask_feats.shape[-2:])
