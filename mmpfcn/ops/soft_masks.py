"""Masks in {0, 1} at the size of the input to soft masks at stride 4, a bounded part at a time.

Both functions give what ``F.interpolate(mask, size, mode='bilinear')`` gives for every mask.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_SIZE = 2**22  # numbers of a temporary tensor: 16 MiB in float32


def soft_masks_of_stack(masks: Tensor, mask_size: tuple[int, int]) -> Tensor:
    """Resize masks (n, H, W), in {0, 1}, which may overlap, to (n, *mask_size), padded with 0."""
    size = stride_4(masks)
    soft = torch.zeros(len(masks), *mask_size, device=masks.device)
    chunk = max(1, CHUNK_SIZE // masks.shape[1:].numel())
    for part, out in zip(masks.split(chunk), soft.split(chunk), strict=True):
        resized = F.interpolate(part[:, None].float(), size, mode='bilinear', align_corners=False)
        out[:, : size[0], : size[1]] = resized[:, 0]
    return soft


def soft_masks_of_map(
    label_map: Tensor, mask_of_label: Tensor, num_masks: int, mask_size: tuple[int, int]
) -> Tensor:
    """Resize the masks of all labels of a map, in which a pixel belongs to one mask or to none.

    A cell sees four pixels: their labels are looked up, and each adds its weight to its mask. No
    mask is made at the size of the map.

    Args:
        label_map: (H, W) integers; a label beyond ``mask_of_label`` is taken for the nearest.
        mask_of_label: (number of labels,) int64, 0..num_masks - 1, or num_masks for no mask.
        num_masks: n.
        mask_size: height and width of the result, (n, *mask_size) in [0, 1], padded with 0.
    """
    (h, w), device = stride_4(label_map), label_map.device
    ys, y_weights = bilinear_taps(label_map.shape[0], h, device)
    xs, x_weights = bilinear_taps(label_map.shape[1], w, device)
    soft = torch.zeros(num_masks, *mask_size, device=device)
    band = max(1, CHUNK_SIZE // (2 * w * (num_masks + 1)))
    for top in range(0, h, band):
        rows = slice(top, min(top + band, h))
        labels = label_map[ys[:, rows]][..., xs].long()  # (2, band, 2, w)
        index = mask_of_label[labels.clamp(0, len(mask_of_label) - 1)]
        sums = torch.zeros(num_masks + 1, *index.shape[:2], w, device=device)
        for tap, weights in enumerate(x_weights):
            sums.scatter_add_(0, index[None, :, :, tap], weights.expand_as(sums[:1]))
        upper, lower = y_weights[:, rows, None]  # first along x, then along y, as F.interpolate
        soft[:, rows, :w] = sums[:-1, 0] * upper + sums[:-1, 1] * lower
    return soft


def stride_4(masks: Tensor) -> tuple[int, int]:
    """Size of (*, H, W) at stride 4, rounded, at least 1."""
    return tuple(max(int(side / 4 + 0.5), 1) for side in masks.shape[-2:])


def bilinear_taps(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The two pixels that a cell sees along one axis, and their weights: both (2, size)."""
    centers = torch.arange(size, device=device, dtype=torch.float32) + 0.5
    source = (centers * (length / size) - 0.5).clamp(min=0)
    first = source.long().clamp(max=length - 1)
    pixels = torch.stack([first, (first + 1).clamp(max=length - 1)])
    weight = (source - first).clamp(max=1)
    return pixels, torch.stack([1 - weight, weight])
