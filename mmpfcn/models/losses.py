"""The losses of Panoptic FCN: focal on positions, weighted dice on masks."""

from collections.abc import Callable, Sequence

import torch
from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK_SIZE = 2**23
"""Numbers of a tensor that a loss makes at a time: 32 MiB in float32."""


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
        self,
        logits: Sequence[Tensor],
        targets: Sequence[Tensor],
        avg_factors: Sequence[float | Tensor],
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
            sum_with_gradient(self.focal, x, t, row_size=x.shape[1:].numel()) / factor
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
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Dice of every object's candidates, as mmdet's mask losses are called.

        Args:
            pred: logits, (P, k, ...) for k candidates per object or (P, ...) for one.
            target: (P, ...) in [0, 1], without gradient.
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
                f'{tuple(target.shape)}; expected (P, k, ...) and (P, ...)'
            )
        dtype = torch.promote_types(pred.dtype, torch.float32)  # sums of many cells
        t = target.detach().flatten(1).to(dtype)
        with torch.autocast(pred.device.type, enabled=False):
            overlap, square = _DiceSums.apply(pred.flatten(2).to(dtype), t)
        area = square + t.square().sum(-1)[:, None]
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


class _DiceSums(torch.autograd.Function):
    """Sums of p t and of p^2 with p = sigmoid(logits), which is all that is kept for backward.

    Logits (P, k, X) and targets (P, X) to two (P, k).
    """

    @staticmethod
    def forward(ctx, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        p = logits.sigmoid()
        ctx.save_for_backward(p, target)
        # (P, 1, X) x (P, X, k); on a CPU 6 times faster than (P, k, X) x (P, X, 1)
        overlap = torch.bmm(target[:, None], p.transpose(1, 2))[:, 0]
        return overlap, torch.linalg.vector_norm(p, dim=-1).square()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_overlap: Tensor, grad_square: Tensor) -> tuple[Tensor, None]:
        p, target = ctx.saved_tensors
        grad = p * (2 * grad_square[..., None])
        grad.addcmul_(grad_overlap[..., None], target[:, None])
        return torch.ops.aten.sigmoid_backward(grad, p), None


def sum_with_gradient(
    function: Callable[..., Tensor],
    *rows: Tensor,
    row_size: int,
    shared: Sequence[Tensor] = (),
) -> Tensor:
    """Sum of a loss over chunks of rows, whose gradient is taken at once, chunk by chunk.

    A loss comes last, so its gradient needs nothing that comes later. What is kept until backward
    are gradients of the size of the inputs; the larger tensors inside the loss live for one chunk.
    Unlike with activation checkpointing nothing is computed twice.

    Args:
        function: maps chunks of ``rows``, then ``shared``, to a scalar. Parameters and tensors that
            it takes from elsewhere get no gradient.
        rows: tensors of n rows each.
        row_size: numbers that a tensor inside the function has per row; a chunk has up to
            ``CHUNK_SIZE``.
        shared: tensors that every chunk sees whole.

    Returns:
        Scalar; 0 for n = 0.
    """
    chunk = max(1, CHUNK_SIZE // max(1, row_size))
    if torch.is_grad_enabled() and any(x.requires_grad for x in (*rows, *shared)):
        return _SumWithGradient.apply(function, chunk, len(rows), *rows, *shared)
    starts = range(0, len(rows[0]), chunk)
    parts = ([x[start : start + chunk] for x in rows] for start in starts)
    return sum((function(*part, *shared) for part in parts), rows[0].new_zeros(()))


class _SumWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, function: Callable[..., Tensor], chunk: int, num_rows: int, *inputs: Tensor
    ) -> Tensor:
        total = inputs[-1].new_zeros(())
        wanted = [i for i, need in enumerate(ctx.needs_input_grad[3:]) if need]
        gradients = [torch.zeros_like(inputs[i]) for i in wanted]
        for first in range(0, len(inputs[0]), chunk):
            cut = [slice(first, first + chunk) if i < num_rows else ... for i in range(len(inputs))]
            part = [x.detach()[c] for x, c in zip(inputs, cut, strict=True)]
            leaves = [part[i].requires_grad_() for i in wanted]
            with torch.enable_grad():
                value = function(*part)
            total += value.detach()
            found = torch.autograd.grad(value, leaves)
            for i, gradient, more in zip(wanted, gradients, found, strict=True):
                gradient[cut[i]] += more
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, factor: Tensor) -> tuple[Tensor | None, ...]:
        gradients = iter(ctx.saved_tensors)
        return tuple(next(gradients) * factor if need else None for need in ctx.needs_input_grad)
