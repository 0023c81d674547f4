"""Antialiased bicubic resizing as two matrix products, of sizes that a tracer may leave open."""

import torch
from torch import Tensor


def resize_bicubic(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """``F.interpolate(maps, size, mode='bicubic', antialias=True)``, which has no ONNX operator.

    Args:
        maps: (N, C, h, w) float.
        size: (H, W), Python's or a tracer's numbers.

    Returns:
        (N, C, H, W).
    """
    rows, columns = (
        cubic_weights(old, new, maps) for old, new in zip(maps.shape[2:], size, strict=True)
    )
    return rows @ maps @ columns.T  # (H, h) x (N, C, h, w) x (w, W)


def cubic_weights(old: int, new: int, like: Tensor) -> Tensor:
    """(new, old): what each old cell gives to a new one, by Keys' kernel with a = -1/2."""
    kind = dict(dtype=like.dtype, device=like.device)
    scale = torch.as_tensor(old / new, dtype=torch.float64).to(**kind)
    centers = (torch.arange(new, **kind) + 0.5) * scale
    cells = torch.arange(old, **kind) + 0.5
    x = (cells - centers[:, None]).abs() / scale.clamp(min=1)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(1, keepdim=True)
