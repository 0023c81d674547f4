"""Ground truth of one image to the targets of every pyramid level."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor

from ..structures import ImageTargets, LevelTargets

VOID = 255
"""Semantic label of unlabelled pixels (mmdet's ``seg_pad_value``): negative for every class."""


@TASK_UTILS.register_module()
class PanopticFCNAssigner:
    """Assign objects to levels by size and draw the targets. Nothing here carries gradient.

    Args:
        num_things_classes: T.
        num_stuff_classes: S.
        scale_ranges: per level the least and greatest sqrt(box area) in input pixels, inclusive;
            ranges may overlap.
        separate_thing_regions: every thing class is a region class of its own, as in the head,
            instead of one region class "any thing".
    """

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int,
        scale_ranges: Sequence[tuple[float, float]],
        separate_thing_regions: bool = False,
    ) -> None:
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes
        self.scale_ranges = scale_ranges
        self.separate_thing_regions = separate_thing_regions
        num_thing_regions = num_things_classes if separate_thing_regions else 1
        self.num_region_channels = num_stuff_classes + num_thing_regions

    @torch.no_grad()
    def assign(
        self,
        gt_instances: InstanceData,
        gt_sem_seg: Tensor,
        level_sizes: Sequence[tuple[int, int]],
        mask_size: tuple[int, int],
    ) -> ImageTargets:
        """Targets of one image.

        Args:
            gt_instances: ``masks`` (G, H, W) in {0, 1}, ``labels`` (G,), ``bboxes`` (G, 4) as
                x1, y1, x2, y2 in pixels; of the image without padding.
            gt_sem_seg: (H, W) labels, 255 for void; crowds carry their thing label.
            level_sizes: (h, w) per level of the padded input.
            mask_size: (H/4, W/4) of the padded input.

        Returns:
            :class:`ImageTargets`.

        Raises:
            ValueError: when labels do not fit the class counts, or the number of levels does not
                fit ``scale_ranges``.
        """
        if len(level_sizes) != len(self.scale_ranges):
            raise ValueError(
                f'PanopticFCNAssigner got {len(level_sizes)} pyramid levels but scale_ranges has '
                f'{len(self.scale_ranges)} entries {self.scale_ranges}: give one (low, high) for '
                'each level in train_cfg.assigner.scale_ranges'
            )
        self._check_labels(gt_instances.labels, gt_sem_seg)
        masks = self._resize(gt_instances.masks, mask_size)
        centers, seen = self._mass_centers(masks)
        masks, centers, objects = masks[seen], centers[seen], gt_instances[seen]
        region_masks, region_channels = self._region_masks(gt_sem_seg, mask_size)
        levels = [
            self._assign_level(
                size, scale_range, mask_size, objects, centers, region_masks, region_channels
            )
            for size, scale_range in zip(level_sizes, self.scale_ranges, strict=True)
        ]
        return ImageTargets(masks, objects.labels, region_masks, region_channels, levels)

    def _check_labels(self, labels: Tensor, sem_seg: Tensor) -> None:
        num_classes = self.num_things_classes + self.num_stuff_classes
        semantic = sem_seg[sem_seg != VOID]
        for what, found, limit in (
            ('object', labels, self.num_things_classes),
            ('semantic', semantic, num_classes),
        ):
            if len(found) and not 0 <= int(found.min()) <= int(found.max()) < limit:
                raise ValueError(
                    f'{what} labels run from {int(found.min())} to {int(found.max())}, but '
                    f'num_things_classes={self.num_things_classes} and '
                    f'num_stuff_classes={self.num_stuff_classes} allow 0 to {limit - 1}: set both '
                    'in panoptic_head and panoptic_fusion_head to the counts of the data set, in '
                    'which thing classes come first'
                )

    def _resize(self, masks: Tensor, mask_size: tuple[int, int], chunk: int = 32) -> Tensor:
        """(n, H, W) to soft (n, H/4, W/4), ``chunk`` masks in float at a time."""
        h, w = masks.shape[-2:]
        size = (int(h / 4 + 0.5), int(w / 4 + 0.5))
        resized = [
            F.interpolate(part[:, None].float(), size=size, mode='bilinear', align_corners=False)
            for part in masks.split(chunk)
        ]
        padding = (0, mask_size[1] - size[1], 0, mask_size[0] - size[0])
        return F.pad(torch.cat(resized)[:, 0], padding)

    def _mass_centers(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (x, y) of the non-zero cells, (n, 2), and whether there is any, (n,)."""
        inside = (masks > 0).float()
        count = inside.sum((1, 2))
        ys = torch.arange(masks.shape[1], device=masks.device, dtype=torch.float32)
        xs = torch.arange(masks.shape[2], device=masks.device, dtype=torch.float32)
        total = torch.stack([inside.sum(1) @ xs, inside.sum(2) @ ys], dim=1)
        return total / count.clamp(min=1)[:, None], count > 0

    def _region_masks(self, sem_seg: Tensor, mask_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Soft masks (B, H/4, W/4) of the region classes present and their channels (B,)."""
        void = self.num_region_channels
        labels = sem_seg.long()
        thing_channels = self.num_stuff_classes + labels * self.separate_thing_regions
        channels = labels - self.num_things_classes
        channels = channels.where(channels >= 0, thing_channels)
        channels = channels.masked_fill(sem_seg == VOID, void)
        present = channels.unique()
        present = present[present != void]
        return self._resize(channels == present[:, None, None], mask_size), present

    def _assign_level(
        self,
        size: tuple[int, int],
        scale_range: tuple[float, float],
        mask_size: tuple[int, int],
        gt_instances: InstanceData,
        mass_centers: Tensor,
        region_masks: Tensor,
        region_channels: Tensor,
    ) -> LevelTargets:
        sides = gt_instances.bboxes[:, 2:] - gt_instances.bboxes[:, :2]  # (G, 2) as (w, h)
        scale = sides.prod(1).sqrt()
        low, high = scale_range
        objects = ((low <= scale) & (scale <= high)).nonzero()[:, 0]
        # cells of this level per cell at stride 4, as (x, y)
        ratio = sides.new_tensor([size[1] / mask_size[1], size[0] / mask_size[0]])
        last = sides.new_tensor([size[1] - 1, size[0] - 1])
        centers = draw_gaussians(
            size,
            gt_instances.labels[objects],
            # a truncated mass centre can not pass the last cell; clamped all the same, as by rule
            torch.minimum((mass_centers[objects] * ratio).floor(), last),
            gaussian_radius(sides[objects] / 4 * ratio),
            self.num_things_classes,
        )
        regions = F.interpolate(
            region_masks[:, None], size=size, mode='bilinear', align_corners=False
        )[:, 0].clamp(max=1)
        regions = regions.where(regions >= 0.5, regions.new_tensor(0))
        region_map = regions.new_zeros(self.num_region_channels, *size)
        region_map[region_channels] = regions
        return LevelTargets(centers, region_map, objects, regions.flatten(1).any(1).nonzero()[:, 0])


def gaussian_radius(sides: Tensor, min_overlap: float = 0.7) -> Tensor:
    """Radius of the Gaussian of a box, with the roots of the original CornerNet code.

    All three roots are ``(b + sqrt(b^2 - 4ac)) / 2``; mmdet's ``gaussian_radius`` solves the
    equations correctly and gives smaller circles, on which the published weights were not trained.

    Args:
        sides: (P, 2) width and height in cells.
        min_overlap: least overlap of a box whose corners moved by the radius.

    Returns:
        (P,) non-negative whole numbers of cells.
    """
    total, area, o = sides.sum(1), sides.prod(1), min_overlap
    equations = (
        (1, total, area * (1 - o) / (1 + o)),
        (4, 2 * total, (1 - o) * area),
        (4 * o, -2 * o * total, (o - 1) * area),
    )
    roots = [(b + (b.square() - 4 * a * c).sqrt()) / 2 for a, b, c in equations]
    return torch.stack(roots).amin(0).clamp(min=0).floor()


def draw_gaussians(
    size: tuple[int, int], labels: Tensor, centers: Tensor, radius: Tensor, num_classes: int
) -> Tensor:
    """Per class the maximum of the Gaussians of its objects.

    Args:
        size: (h, w) of the map.
        labels: (P,) int64.
        centers: (P, 2) cells as (x, y).
        radius: (P,) cells; sigma is (2 radius + 1) / 3, and the square of +-radius is drawn.
        num_classes: T.

    Returns:
        (T, h, w) in [0, 1], 1 at the centres.
    """
    h, w = size
    sigma = ((2 * radius + 1) / 3)[:, None]
    axes = []
    for length, middle in ((h, centers[:, 1]), (w, centers[:, 0])):
        distance = torch.arange(length, device=centers.device) - middle[:, None]
        bell = torch.exp(-distance.square() / (2 * sigma.square()))
        axes.append(bell * (distance.abs() <= radius[:, None]))
    drawn = axes[0][:, :, None] * axes[1][:, None]  # (P, h, 1) x (P, 1, w)
    index = labels[:, None, None].expand_as(drawn)
    return drawn.new_zeros(num_classes, h, w).scatter_reduce_(0, index, drawn, 'amax')
