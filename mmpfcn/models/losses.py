"""The losses of Panoptic FCN: focal on positions, weighted dice on masks."""

from collections.abc import Sequence

import torch
from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class PositionLoss(nn.Module):
    """Sigmoid focal loss on soft targets, summed over pyramid levels.

    The element loss is mmdet's :class:`FocalLoss`, where p_t and alpha_t are linear in the target.

    Args:
        alpha: weight of the positives.
        gamma: exponent of the focal weight.
        loss_weight: factor of the result.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.focal = FocalLoss(
            use_sigmoid=True, gamma=gamma, alpha=alpha, reduction='sum', loss_weight=loss_weight
        )

    def forward(
        self, logits: Sequence[Tensor], targets: Sequence[Tensor], avg_factors: Sequence[float]
    ) -> Tensor:
        """Sum of the element losses of every level, each divided by its average factor.

        Args:
            logits: per level (N, X, h, w).
            targets: per level (N, X, h, w) in [0, 1].
            avg_factors: per level; for centres the number of (object, level) pairs of the batch,
                for regions N * h * w.

        Returns:
            Scalar.
        """
        return sum(
            self.focal(x, t) / factor
            for x, t, factor in zip(logits, targets, avg_factors, strict=True)
        )


@MODELS.register_module()
class WeightedDiceLoss(nn.Module):
    """Dice loss of several candidate masks per object, weighted by normalised scores.

    ``dice = 1 - 2 sum(p t) / max(sum(p^2) + sum(t^2), eps)`` with ``p = sigmoid(logits)``; each
    candidate counts with ``weight / max(sum of the object's weights, eps)``. The weights carry
    gradient. With one candidate per object and no weight it is mmdet's
    ``DiceLoss(reduction='mean')`` but for the place of ``eps``.

    Args:
        loss_weight: factor of the result.
        eps: lower bound of the two denominators.
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-8) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Dice of every object's candidates, as mmdet's mask losses are called.

        Args:
            pred: logits, (P, k, *) for k candidates per object or (P, *) for one.
            target: (P, *) in [0, 1].
            weight: (P, k) or (P,) non-negative scores, normalised per object here; None for 1 / k.
                An object whose scores are all 0 contributes nothing.
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
                f'{tuple(target.shape)}; expected (P, k, *) and (P, *)'
            )
        p, t = pred.sigmoid().flatten(2), target.flatten(1).to(pred.dtype)
        overlap = torch.einsum('pkx,px->pk', p, t)
        area = p.square().sum(-1) + t.square().sum(-1)[:, None]
        dice = 1 - 2 * overlap / area.clamp(min=self.eps)  # (P, k)
        if weight is None:
            loss = dice.mean(1)
        else:
            weight = weight.reshape(dice.shape)
            loss = (weight * dice).sum(1) / weight.sum(1).clamp(min=self.eps)
        loss = self.loss_weight * loss
        if reduction_override == 'none':
            return loss
        if reduction_override == 'sum':
            return loss.sum()
        return loss.sum() / (avg_factor if avg_factor is not None else max(len(loss), 1))
