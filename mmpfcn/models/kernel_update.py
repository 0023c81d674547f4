"""Kernels that look at what they draw: updates by pooled features, and a class for each kernel.

Rounds of the kernel updates of K-Net (arXiv 2106.14855), pooled as in RT-K-Net (2305.01255) and
without attention between kernels: what becomes of a kernel depends on its image alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule, ModuleList, bias_init_with_prob
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..structures import ImageTargets
from .layers import convolve
from .relative_position import NUM_MEASURES, measure_places, move_places, num_place_channels
from .sampling import TrainingKernels


class Updated(NamedTuple):
    """What a round makes of n kernels: ``kernels`` (n, E), ``class_logits`` (n, T + S)."""

    kernels: Tensor
    class_logits: Tensor


@MODELS.register_module()
class KernelUpdate(BaseModule):
    """Rounds of updates of embedded kernels, in training the sampled ones, in inference the fused.

    A new one leaves kernels as they are, and its losses train nothing else: passed on to the
    network, they drown those of centres and regions. With the channels of places of
    :class:`RelativeFeatureEncoder`, a round moves, sharpens and lifts a kernel's paraboloid.

    Args:
        embed_channels: E.
        num_classes: T + S.
        num_place_channels: of the E channels, those of places, which are the last.
        num_rounds: each has weights of its own.
        channels: d, the width of a round.
        class_embedding: add a learned vector of its class to every kernel first, zero at the start
            (MaskConver, arXiv 2312.06052).
        loss_class: config of the loss of classes, called as those of :class:`PanopticFCNHead`.
    """

    def __init__(
        self,
        embed_channels: int,
        num_classes: int,
        num_place_channels: int = 0,
        num_rounds: int = 2,
        channels: int = 64,
        class_embedding: bool = False,
        loss_class: dict = dict(  # noqa: B006 (never modified)
            type='FocalLoss', gamma=2.0, alpha=0.25, loss_weight=2.0
        ),
    ) -> None:
        super().__init__()
        if num_rounds < 1:
            raise ValueError(
                f'kernel_update.num_rounds={num_rounds}, expected at least 1: for none leave '
                'kernel_update out'
            )
        self.embed_channels = embed_channels
        self.num_classes = num_classes
        self.rounds = ModuleList(
            UpdateRound(embed_channels, num_place_channels, channels, num_classes)
            for _ in range(num_rounds)
        )
        self.class_embed = None
        if class_embedding:  # also of "any thing"
            self.class_embed = nn.Embedding(num_classes + 1, embed_channels - num_place_channels)
            nn.init.zeros_(self.class_embed.weight)
        self.loss_class = MODELS.build(loss_class)

    def forward(self, kernels: Tensor, labels: Tensor, mask_feats: Tensor) -> list[Updated]:
        """The kernels after each round.

        Args:
            kernels: (n, E) of one image.
            labels: (n,) int64, T + S for "any thing".
            mask_feats: (E, H/4, W/4).
        """
        if self.class_embed:
            of_class = self.class_embed(labels)
            kernels = kernels + F.pad(of_class, (0, kernels.shape[1] - of_class.shape[1]))
        feats = F.avg_pool2d(mask_feats[None], 2)[0]  # stride 8
        results = []
        for update in self.rounds:
            results.append(update(kernels, feats))
            kernels = results[-1].kernels
        return results

    def predict(
        self, kernels: Tensor, labels: Tensor, scores: Tensor, mask_feats: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Updated kernels (n, E) and scores (n,) of one image's fused kernels.

        A score becomes its geometric mean with the probability of the kernel's class.

        Args:
            kernels: (n, E).
            labels: (n,) int64; of "any thing", T + S, the probability is 1.
            scores: (n,) in [0, 1].
            mask_feats: (E, H/4, W/4).
        """
        kernels, class_logits = self(kernels, labels, mask_feats)[-1]
        probs = F.pad(class_logits.sigmoid(), (0, 1), value=1.0)
        return kernels, (scores * probs.gather(1, labels[:, None])[:, 0]).sqrt()

    def update_image(self, things: InstanceData, regions: InstanceData, mask_feats: Tensor) -> None:
        """Replace ``kernels`` and ``scores`` of an image's fused kernels; their order stays."""
        both = InstanceData.cat([things, regions])
        kernels, scores = self.predict(both.kernels, both.labels, both.scores, mask_feats)
        for part, rows in ((things, slice(len(things))), (regions, slice(len(things), None))):
            part.kernels, part.scores = kernels[rows], scores[rows]

    def loss(
        self,
        images: Sequence[tuple[TrainingKernels, ImageTargets, Tensor]],
        region_labels: Sequence[int],
        thing_loss: Callable[..., Tensor],
        stuff_loss: Callable[..., Tensor],
        avg_factor: float | Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a batch after every round: of masks as those of the head, and of classes.

        Half of the weight is with each candidate and half with their mean, as kernels are fused in
        inference: of a thing the k of a level by their scores, of a region those of all levels.

        Args:
            images: kernels, targets and mask_feats (E, H/4, W/4) of each.
            region_labels: label of each region channel.
            thing_loss: ``mask_loss`` of things.
            stuff_loss: ``mask_loss`` of stuff.
            avg_factor: the sums of the class losses are divided by it.

        Returns:
            ``update0.loss_thing``, ``update0.loss_stuff``, ``update0.loss_class`` and so on.
        """
        losses = Counter()
        for image, target, feats in images:
            object_rows, region_rows = target.object_rows, target.region_rows
            things, thing_weights = with_mean(image.things, image.weights.detach())
            stuff, stuff_weights = with_level_mean(image.stuff, region_rows)
            sizes = [things.shape[:2].numel(), stuff.shape[:2].numel()]
            kernels = torch.cat([things.flatten(0, 1), stuff.flatten(0, 1)]).detach()
            feats = feats.detach()
            of_things = target.labels[object_rows].repeat_interleave(things.shape[1])
            of_channels = torch.tensor(region_labels, device=region_rows.device)
            of_stuff = of_channels[target.region_channels[region_rows]].repeat_interleave(2)
            labels = torch.cat([of_things, of_stuff])
            classes = F.one_hot(labels, self.num_classes + 1)[:, :-1]  # "any thing" is none
            weights = torch.cat([thing_weights.flatten(), stuff_weights.flatten()])
            for i, (updated, class_logits) in enumerate(self(kernels, labels, feats)):
                new_things, new_stuff = updated.split(sizes)
                losses[f'update{i}.loss_thing'] += thing_loss(
                    new_things.view_as(things), thing_weights, target.masks, object_rows, feats
                )
                losses[f'update{i}.loss_stuff'] += stuff_loss(
                    new_stuff.view_as(stuff), stuff_weights, target.region_masks, region_rows, feats
                )
                losses[f'update{i}.loss_class'] += self.loss_class(
                    class_logits, classes, weight=weights, avg_factor=avg_factor
                )
        return dict(losses)


def build_kernel_update(
    config: dict | None, feature_encoder: nn.Module, num_classes: int
) -> nn.Module | None:
    """The update of kernels for the mask_feats of ``feature_encoder``; None of no config."""
    if not config:
        return None
    default_args = dict(
        embed_channels=feature_encoder.out_channels,
        num_classes=num_classes,
        num_place_channels=num_place_channels(feature_encoder),
    )
    return MODELS.build(config, default_args=default_args)


class UpdateRound(BaseModule):
    """One round; see :class:`KernelUpdate` for the arguments."""

    def __init__(
        self, embed_channels: int, num_place_channels: int, channels: int, num_classes: int
    ) -> None:
        super().__init__()
        self.embed_channels, self.num_place_channels = embed_channels, num_place_channels
        width = embed_channels - num_place_channels
        if num_place_channels:
            width += NUM_MEASURES
        self.features = nn.Linear(width, 2 * channels)
        self.kernels = nn.Linear(width, 2 * channels)
        self.feature_gate = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.kernel_gate = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.feature_norm = nn.LayerNorm(channels)
        self.kernel_norm = nn.LayerNorm(channels)
        self.fuse = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU())
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.ReLU(), nn.Linear(4 * channels, channels)
        )
        self.norm = nn.LayerNorm(channels)
        self.class_out = nn.Linear(channels, num_classes)
        self.change = nn.Linear(channels, embed_channels)
        nn.init.constant_(self.class_out.bias, bias_init_with_prob(0.01))
        nn.init.zeros_(self.change.weight)  # Z
        nn.init.zeros_(self.change.bias)

    def forward(self, kernels: Tensor, feats: Tensor) -> Updated:
        """Update (n, E) kernels by ``feats`` (E, H/8, W/8)."""
        masks = (convolve(kernels.detach(), feats.detach()) > 0).flatten(1).to(feats.dtype)
        areas = masks.sum(1, keepdim=True).clamp(min=1)
        pooled = masks @ feats.flatten(1).T / areas  # (n, hw) x (hw, E) -> (n, E)
        x = self._update(*self._inputs(kernels, pooled))
        width = self.embed_channels - self.num_place_channels
        change, places = self.change(x).tensor_split([width], dim=1)
        # as large as the kernel is: those of stuff are a hundred times shorter than those of things
        change = change * (kernels[:, :width].norm(dim=1, keepdim=True) / width**0.5)
        if self.num_place_channels:
            change = torch.cat([change, move_places(kernels, places)], 1)
        return Updated(kernels + change, self.class_out(x))

    def _inputs(self, kernels: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """What is read of the kernels and of their features, (n, width) each."""
        if not self.num_place_channels:
            return kernels, pooled
        measures = measure_places(kernels, pooled)
        return tuple(
            torch.cat([x[:, : -self.num_place_channels], measures], 1) for x in (kernels, pooled)
        )

    def _update(self, kernels: Tensor, pooled: Tensor) -> Tensor:
        """The new kernels K', (n, d)."""
        feature_in, feature_out = self.features(pooled).chunk(2, 1)
        kernel_in, kernel_out = self.kernels(kernels).chunk(2, 1)
        gate = feature_in * kernel_in
        x = self.fuse(
            self.feature_gate(gate).sigmoid() * self.feature_norm(feature_out)
            + self.kernel_gate(gate).sigmoid() * self.kernel_norm(kernel_out)
        )
        return self.norm(x + self.feed_forward(x))


def with_mean(kernels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Candidates and, behind them, their mean, each with half of the weight.

    Args:
        kernels: (P, k, E).
        weights: (P, k), with sum 1 for an object, or all 0.

    Returns:
        (P, k + 1, E) and (P, k + 1).
    """
    mean = weights[:, None] @ kernels  # (1, k) x (k, E)
    return torch.cat([kernels, mean], 1), torch.cat([weights, weights.sum(1, True)], 1) / 2


def with_level_mean(kernels: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Kernels of regions, each with the mean of its region's levels, and weights of a half.

    Args:
        kernels: (Q, E).
        rows: (Q,) int64, the region of each.

    Returns:
        (Q, 2, E) and (Q, 2).
    """
    same = (rows[:, None] == rows).to(kernels.dtype)
    mean = same / same.sum(1, keepdim=True).clamp(min=1) @ kernels
    return torch.stack([kernels, mean], 1), kernels.new_full((len(kernels), 2), 0.5)
