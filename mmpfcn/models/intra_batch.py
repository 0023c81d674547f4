"""Supervision between the images of a pair: the objects of one are nowhere in the other.

Images 2i and 2i + 1 of a batch are a pair; :class:`PairedSampler` pairs images of the same class.
In training alone, kernels are taught what they must not draw; inference stays as it is.
"""

from collections.abc import Sequence
from functools import partial

import torch
from mmdet.models.losses import DiceLoss
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..structures import ImageTargets
from .losses import mask_loss
from .sampling import TrainingKernels


def build_intra_batch_loss(config: dict | None) -> nn.Module | None:
    """The loss of :func:`intra_batch_loss`; None of no config, ValueError for one of masks."""
    if not config:
        return None
    loss = MODELS.build(config)
    if isinstance(loss, DiceLoss):
        raise ValueError(
            f'panoptic_head.loss_intra_batch is a {type(loss).__name__}, expected a loss of single '
            'elements, as there is nothing to overlap with: use FocalLoss'
        )
    return loss


def intra_batch_loss(
    loss: nn.Module,
    kernels: Sequence[TrainingKernels],
    targets: Sequence[ImageTargets],
    mask_feats: Tensor,
    avg_factor: float | Tensor,
) -> Tensor:
    """Loss of every image's thing kernels on the features of its partner, where all should be 0.

    It is the mean over the partner's pixels, of which padding is none; the k candidates of an
    object count by their normalised scores (arXiv 2304.08222).

    Args:
        loss: of single elements, such as mmdet's ``FocalLoss``: called with logits (n, pixels),
            targets and weights of the same shape, and ``avg_factor``, by which it divides its sum.
        kernels: of every image.
        targets: of every image.
        mask_feats: (N, E, H/4, W/4).
        avg_factor: the sum over objects and levels is divided by it.

    Raises:
        ValueError: the number of images is odd.
    """
    if len(mask_feats) % 2:
        raise ValueError(
            f'loss_intra_batch takes images in pairs, but the batch has {len(mask_feats)}: set '
            'train_dataloader.batch_size to an even number (and drop_last=True for a sampler that '
            'comes to an end), or panoptic_head.loss_intra_batch=None'
        )
    of_elements = partial(_mean_over_pixels, loss)
    total = mask_feats.new_zeros(())
    for i, image in enumerate(kernels):
        h, w = targets[i ^ 1].size
        feats = mask_feats[i ^ 1, :, :h, :w]
        nothing = torch.zeros_like(feats[:1])
        rows = torch.zeros_like(image.things[:, 0, 0], dtype=torch.int64)
        total = total + mask_loss(
            of_elements, image.things, image.weights, nothing, rows, feats, avg_factor
        )
    return total


def _mean_over_pixels(
    loss: nn.Module, logits: Tensor, target: Tensor, weight: Tensor, avg_factor: float | Tensor
) -> Tensor:
    """A loss of elements, (n, h, w) with weights (n,), as the sum of its rows' means."""
    logits, target = logits.flatten(1), target.flatten(1)
    weight = (weight / logits.shape[1])[:, None].expand_as(logits)
    return loss(logits, target, weight=weight, avg_factor=avg_factor)
