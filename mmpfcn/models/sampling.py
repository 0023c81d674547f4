"""From maps to kernels: which cells speak for an object or a region, in training and in testing.

Centres and regions are logits. Nothing but :func:`select` waits for the device.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..structures import ImageTargets, LevelMaps
from .settings import InferenceSettings

NOT_FINITE = (
    'the network gave NaN or an infinite number, expected finite scores, kernels and mask_feats: '
    'look for such numbers in the weights and the image, or run it in float32'
)
"""What is said of an output that would otherwise silently remove objects of all classes."""


class Peaks(NamedTuple):
    """Object candidates of one level, best first: each (N, K)."""

    scores: Tensor
    labels: Tensor
    cells: Tensor


def level_peaks(
    levels: Sequence[LevelMaps],
    settings: InferenceSettings,
    find: 'Callable[[Tensor, int, int], Peaks] | None' = None,
) -> list[Peaks]:
    """Object candidates of every level, before ``center_thr``.

    Args:
        levels: maps of P3..P7.
        settings: ``pool_sizes`` and ``max_per_img`` count.
        find: does the work of :func:`find_peaks`, for a graph of fixed shapes.

    Raises:
        ValueError: when ``pool_sizes`` are not as many as the levels.
    """
    if len(settings.pool_sizes) != len(levels):
        raise ValueError(
            f'test_cfg.pool_sizes has {len(settings.pool_sizes)} entries {settings.pool_sizes}, '
            f'but there are {len(levels)} pyramid levels: give one window side for each'
        )
    find = find or find_peaks
    return [
        find(level.centers, pool_size, settings.peaks_per_level)
        for level, pool_size in zip(levels, settings.pool_sizes, strict=True)
    ]


def find_peaks(center_logits: Tensor, pool_size: int, num_peaks: int) -> Peaks:
    """Local maxima of the smoothed centre map (the paper's inference).

    A probability is averaged with its mean over a ``pool_size`` window (zero padding counted), and
    the cells equal to their 3 x 3 maximum are peaks.

    Args:
        center_logits: (N, T, h, w).
        pool_size: odd side of the window in cells.
        num_peaks: candidates kept over all classes, at most h * w.

    Returns:
        :class:`Peaks`; cells are ``row * w + column``; a cell that is no peak has score 0.
    """
    p = peak_scores(center_logits, pool_size)
    num_cells = p.shape[-2] * p.shape[-1]
    scores, index = p.flatten(1).topk(min(num_cells, num_peaks))
    return Peaks(scores, index // num_cells, index % num_cells)


def peak_scores(center_logits: Tensor, pool_size: int) -> Tensor:
    """(N, T, h, w) smoothed probability of a peak, 0 elsewhere; see :func:`find_peaks`."""
    # classes last: pooling is ten times faster so on a CPU
    p = center_logits.sigmoid().contiguous(memory_format=torch.channels_last)
    p = (p + F.avg_pool2d(p, pool_size, stride=1, padding=pool_size // 2)) / 2
    return p * (F.max_pool2d(p, 3, stride=1, padding=1) == p)


def gather_kernels(kernel_map: Tensor, cells: Tensor) -> Tensor:
    """Kernels at the given cells.

    Args:
        kernel_map: (N, C, h, w).
        cells: (N, K) int64, ``row * w + column``.

    Returns:
        (N, K, C).
    """
    flat = kernel_map.flatten(2).transpose(1, 2)  # (N, hw, C)
    return flat.gather(1, cells[..., None].expand(-1, -1, flat.shape[-1]))


def pool_regions(region_logits: Tensor, kernel_map: Tensor) -> tuple[Tensor, Tensor]:
    """Kernel and score of every region class (the paper's inference).

    Each cell votes for its best class. The score of a class is its mean probability over its
    cells (0 without cells); its kernel is the sum over its cells divided by ALL cells of the level.

    Args:
        region_logits: (N, R, h, w).
        kernel_map: (N, C, h, w).

    Returns:
        Scores (N, R) and kernels (N, R, C).
    """
    p = region_logits.sigmoid().flatten(2)  # (N, R, hw)
    votes = torch.zeros_like(p).scatter_(1, p.argmax(1, keepdim=True), 1)
    scores = (p * votes).sum(-1) / votes.sum(-1).clamp(min=1)
    return scores, mean_over_cells(votes, kernel_map)


def mean_over_cells(supports: Tensor, kernel_map: Tensor) -> Tensor:
    """Mean of (support * kernel map) over ALL cells of a level, as one matrix product.

    Args:
        supports: (..., Q, hw).
        kernel_map: (..., C, h, w).

    Returns:
        (..., Q, C).
    """
    kernels = kernel_map.flatten(-2)
    return supports @ kernels.transpose(-1, -2) / kernels.shape[-1]  # (Q, hw) x (hw, C)


def sample_positives(
    center_logits: Tensor, labels: Tensor, masks: Tensor, num_positives: int
) -> tuple[Tensor, Tensor]:
    """The k best cells inside each object and their scores (the paper's training).

    A cell counts where the object's soft mask, resized to the level, exceeds 0.1; its score is the
    centre probability of the object's class, with gradient.

    Args:
        center_logits: (T, h, w) of one image.
        labels: (P,) int64.
        masks: (P, H/4, W/4) in [0, 1].
        num_positives: k.

    Returns:
        Cells (P, k) int64 and scores (P, k). Places without a cell in the object (a level of fewer
        than k cells, an object without any) have score 0.
    """
    size, num_cells = center_logits.shape[-2:], center_logits[0].numel()
    with torch.no_grad():
        inside = F.interpolate(masks[:, None], size=size, mode='bilinear', align_corners=False)
        guidance = center_logits.sigmoid()[labels] * (inside[:, 0] > 0.1)
        best, cells = guidance.flatten(1).topk(min(num_positives, num_cells))
    # the gradient needs k cells an object, not the map
    scores = center_logits.flatten(1)[labels[:, None], cells].sigmoid() * (best > 0)
    missing = (0, num_positives - scores.shape[1])
    return F.pad(cells, missing), F.pad(scores, missing)


class TrainingKernels(NamedTuple):
    """Kernels of one image that are trained.

    Attributes:
        things: (P, k, E) embedded, k of every (object, level).
        scores: (P, k) centre probabilities in [0, 1]; 0 where there is no cell in the object.
        stuff: (Q, E) embedded, one of every (region class, level).
    """

    things: Tensor
    scores: Tensor
    stuff: Tensor

    @property
    def weights(self) -> Tensor:
        """(P, k), the scores with sum 1 for an object, or all 0."""
        return self.scores / self.scores.sum(1, keepdim=True).clamp(min=1e-8)


def training_kernels(
    levels: Sequence[LevelMaps],
    targets: Sequence[ImageTargets],
    num_positives: int,
    generator: nn.Module,
) -> list[TrainingKernels]:
    """The kernels of every image that its ground truth chooses.

    Args:
        levels: maps of P3..P7.
        targets: of every image.
        num_positives: k.
        generator: with ``thing_embed`` and ``stuff_embed``.
    """
    # by unbind, whose gradient is one copy; that of x[i] is a map of the batch for every image
    unbound = [zip(*(x.unbind() for x in level), strict=True) for level in levels]
    images = []
    for image, *maps in zip(targets, *unbound, strict=True):
        things, scores, stuff = [], [], []
        for (centers, _, kernels), target in zip(maps, image.levels, strict=True):
            labels, masks = image.labels[target.objects], image.masks[target.objects]
            cells, level_scores = sample_positives(centers, labels, masks, num_positives)
            things.append(kernels.flatten(1).T[cells])  # (hw, C) -> (P, k, C)
            scores.append(level_scores)
            regions = target.regions[image.region_channels[target.region_rows]]
            supports = (regions > 0).to(kernels.dtype)
            stuff.append(mean_over_cells(supports.flatten(1), kernels))
        things, stuff = (
            generator.thing_embed(torch.cat(things)),
            generator.stuff_embed(torch.cat(stuff)),
        )
        images.append(TrainingKernels(things, torch.cat(scores), stuff))
    return images


def select(keep: Tensor, **fields: Tensor) -> list[InstanceData]:
    """The kernels of each image to keep, in their order, after one wait for the device.

    Args:
        keep: (N, K) bool.
        **fields: each (N, K, ...).

    Raises:
        ValueError: when a score or a kernel is NaN or infinite, kept or not.
    """
    order = keep.byte().argsort(dim=1, descending=True, stable=True)  # those to keep come first
    finite = [x.isfinite().all() for x in fields.values() if x.is_floating_point()]
    *counts, is_finite = torch.stack([*keep.sum(1), torch.stack(finite).all()]).tolist()
    if not is_finite:
        raise ValueError(NOT_FINITE)
    rows = [image[:count] for image, count in zip(order, counts, strict=True)]
    return [
        InstanceData(**{name: field[i, kept] for name, field in fields.items()})
        for i, kept in enumerate(rows)
    ]
