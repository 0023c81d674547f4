"""The four losses of the paper: centres, regions, masks of things and masks of stuff."""

from collections.abc import Sequence
from functools import partial

import torch
from mmdet.models.losses import DiceLoss
from mmdet.models.losses.dice_loss import dice_loss
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from torch import Tensor, nn

from ..ops.chunks import sum_over_chunks
from ..structures import ImageTargets
from .layers import convolve


def average_factors(
    counts: Sequence[int], device: torch.device, sync: bool
) -> Sequence[int] | Sequence[Tensor]:
    """What to divide the sums of a batch by, at least 1 for the batch of all processes together.

    In a distributed run the gradient is the mean of the processes' gradients. So sums divided by
    the *mean* count of the processes give what one process with all the images would compute.

    Args:
        counts: what this process has of everything.
        device: that of the process group.
        sync: average over the processes, in one all-reduce that each of them must take part in;
            else every process divides by its own counts, as published.
    """
    world_size = get_world_size()
    if not sync or world_size == 1:
        return [max(count, 1) for count in counts]
    means = reduce_mean(torch.tensor(counts, dtype=torch.float, device=device))
    return means.clamp(min=1 / world_size).unbind()


def build_position_loss(config: dict) -> nn.Module:
    """Build a loss of centres or regions; configs of old have ``PositionLoss`` for FocalLoss."""
    if config['type'] == 'PositionLoss':
        config = {**config, 'type': 'FocalLoss'}
    return MODELS.build(config)


def stack_targets(targets: Sequence[ImageTargets]) -> list[tuple[Tensor, Tensor]]:
    """Targets of centres (N, T, h, w) and of regions (N, R, h, w) of every level."""
    return [
        (torch.stack([t.centers for t in level]), torch.stack([t.regions for t in level]))
        for level in zip(*(image.levels for image in targets), strict=True)
    ]


def map_loss(
    loss: nn.Module, logits: Tensor, targets: Tensor, avg_factor: float | Tensor
) -> Tensor:
    """A loss of the maps (N, X, h, w) of one level, some images at a time."""
    return sum_over_chunks(
        partial(loss, avg_factor=avg_factor), logits, targets, row_size=logits[0].numel()
    )


def mask_loss(
    loss: nn.Module,
    kernels: Tensor,
    weights: Tensor | None,
    masks: Tensor,
    rows: Tensor,
    mask_feats: Tensor,
    avg_factor: float | Tensor,
) -> Tensor:
    """Loss of k kernels for each of P masks of an image, some masks at a time.

    Args:
        loss: see :class:`PanopticFCNHead`.
        kernels: (P, k, E).
        weights: (P, k) of their losses; None for 1.
        masks: (G, H/4, W/4) in [0, 1].
        rows: (P,) int64, the mask that the kernels are trained on.
        mask_feats: (E, H/4, W/4).
        avg_factor: the sum is divided by it.
    """

    def loss_of_some(kernels: Tensor, weights: Tensor, rows: Tensor) -> Tensor:
        target = masks[rows.repeat_interleave(kernels.shape[1])]  # (P * k, H/4, W/4)
        logits = convolve(kernels.flatten(0, 1), mask_feats)
        return loss(logits, target, weight=weights.flatten(), avg_factor=avg_factor)

    if weights is None:
        weights = kernels.new_ones(kernels.shape[:2])
    row_size = kernels.shape[1] * mask_feats[0].numel()
    return sum_over_chunks(loss_of_some, kernels, weights, rows, row_size=row_size)


@MODELS.register_module()
class WeightedDiceLoss(DiceLoss):
    """mmdet's dice loss of one mask per object, or of several candidates weighted by their scores.

    Each of k candidates counts with ``weight / max(sum of the object's weights, eps)``; the weights
    carry gradient. Other than in ``DiceLoss``, everything is in float32 also under mixed precision,
    and nothing is the loss of no object.

    Args:
        loss_weight: factor of the result.
        eps: lower bound of the denominators, as published (that of ``DiceLoss`` is 1e-3).
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-8) -> None:
        super().__init__(loss_weight=loss_weight, eps=eps)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Dice of every object's candidates, as mmdet's mask losses are called.

        Args:
            pred: logits, (P, k, ...) for k candidates per object or (P, ...) for one.
            target: (P, ...) in [0, 1], without gradient.
            weight: (P, k) non-negative scores of candidates, normalised per object here (an object
                whose scores are all 0 contributes nothing), (P,) factors of objects, or None.
            avg_factor: the sum over objects is divided by it; None for P.
            reduction_override: 'none' returns the loss of every object, 'sum' ignores
                ``avg_factor``.

        Returns:
            Scalar, or (P,) for 'none'.

        Raises:
            ValueError: when the shapes do not fit.
        """
        if pred.dim() == target.dim():
            pred = pred[:, None]
        if pred.shape[:1] + pred.shape[2:] != target.shape:
            raise ValueError(
                f'WeightedDiceLoss got logits {tuple(pred.shape)} and target '
                f'{tuple(target.shape)}; expected (P, k, ...) and (P, ...)'
            )
        dtype = torch.promote_types(pred.dtype, torch.float32)  # sums of many cells
        target = target.detach()[:, None].expand_as(pred)
        with torch.autocast(pred.device.type, enabled=False):
            dice = dice_loss(  # it adds its eps twice
                pred.to(dtype).sigmoid().flatten(0, 1),
                target.flatten(0, 1),
                eps=self.eps / 2,
                reduction='none',
            ).unflatten(0, pred.shape[:2])
        if weight is None:
            loss = dice.mean(1)
        elif weight.dim() == 1:
            loss = weight * dice.mean(1)
        else:
            loss = (weight * dice).sum(1) / weight.sum(1).clamp(min=self.eps)
        loss = self.loss_weight * loss
        if reduction_override == 'none':
            return loss
        if reduction_override == 'sum':
            return loss.sum()
        return loss.sum() / (avg_factor if avg_factor is not None else max(len(loss), 1))
