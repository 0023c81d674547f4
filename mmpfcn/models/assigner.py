"""Ground truth of one image to the targets of every pyramid level."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from ..ops.soft_masks import soft_masks_of_map, soft_masks_of_stack, stride_4
from ..structures import ImageTargets, LevelTargets, region_labels
from ..structures.segment_masks import SegmentMasks

VOID = 255
"""Semantic label of unlabelled pixels (mmdet's ``seg_pad_value``): negative for every class."""


def without_padding(sample: DetDataSample, device: torch.device) -> tuple[InstanceData, Tensor]:
    """Objects and semantic map (H, W) of the ground truth of an image, its padding cut off."""
    h, w = sample.img_shape[:2]
    gt = sample.gt_instances
    if isinstance(gt.masks, SegmentMasks):
        masks = gt.masks.crop(np.array([0, 0, w, h]))
    else:
        masks = gt.masks.to_tensor(torch.uint8, device)[:, :h, :w]
    objects = InstanceData(masks=masks, labels=gt.labels, bboxes=gt.bboxes)
    return objects, sample.gt_sem_seg.sem_seg[0, :h, :w]


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
        labels = region_labels(num_things_classes, num_stuff_classes, separate_thing_regions)
        self.num_region_channels = len(labels)
        # (labels up to VOID,) region channel of each label; R where it has none
        self.region_channels = torch.full((max(VOID, *labels) + 1,), len(labels))
        self.region_channels[:num_things_classes] = num_stuff_classes  # "any thing"
        self.region_channels[labels] = torch.arange(len(labels))
        self.region_channels[VOID] = len(labels)

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
            gt_instances: ``masks``, a tensor (G, H, W) in {0, 1} or :class:`SegmentMasks`, which
                are never unfolded; ``labels`` (G,); ``bboxes`` (G, 4) as x1, y1, x2, y2 in pixels;
                of the image without padding.
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
        labels, boxes = gt_instances.labels, gt_instances.bboxes
        masks = self._object_masks(gt_instances.masks, mask_size, labels.device)
        centers, seen = self._mass_centers(masks)
        region_masks = soft_masks_of_map(
            gt_sem_seg, self.region_channels.to(labels.device), self.num_region_channels, mask_size
        )
        level_regions = [self._level_regions(region_masks, size) for size in level_sizes]
        # all that decides about shapes or is checked: the host waits for the device once an image
        label_ranges, seen, fits, present, shown = to_host(
            self._label_ranges(labels, gt_sem_seg),
            seen,
            self._fits_levels(boxes) & seen,
            region_masks.flatten(1).any(1),
            torch.stack([regions.flatten(1).any(1) for regions in level_regions]),
        )
        self._check_labels(label_ranges.tolist())
        device = masks.device
        if not seen.all():
            kept = seen.nonzero()[:, 0].to(device)
            masks, centers, labels, boxes = (x[kept] for x in (masks, centers, labels, boxes))
        channels = present.nonzero()[:, 0].to(device)
        levels = []
        for size, regions, fit, show in zip(
            level_sizes, level_regions, fits[:, seen], shown[:, present], strict=True
        ):
            objects = fit.nonzero()[:, 0].to(device)
            heat_map = self._draw_centers(
                size, mask_size, labels[objects], boxes[objects], centers[objects]
            )
            region_rows = show.nonzero()[:, 0].to(device)
            levels.append(LevelTargets(heat_map, regions, objects, region_rows))
        num_objects, size = len(gt_instances.labels), stride_4(gt_sem_seg)
        return ImageTargets(
            masks, labels, region_masks[channels], channels, levels, num_objects, size
        )

    def _object_masks(
        self, masks: Tensor | SegmentMasks, mask_size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """Soft masks (G, H/4, W/4)."""
        if isinstance(masks, Tensor):
            return soft_masks_of_stack(masks, mask_size)
        index_map, values = masks.index_map.astype(np.int32), masks.values
        rows = np.full(max(index_map.max(initial=0), values.max(initial=0)) + 1, len(values))
        rows[values] = np.arange(len(values))
        index_map, rows = (torch.from_numpy(x).to(device) for x in (index_map, rows))
        return soft_masks_of_map(index_map, rows, len(values), mask_size)

    def _level_regions(self, region_masks: Tensor, size: tuple[int, int]) -> Tensor:
        """Share of each cell of a level that a region class covers, (R, h, w), at least half."""
        regions = F.interpolate(region_masks[:, None], size, mode='bilinear', align_corners=False)
        regions = regions[:, 0].clamp(max=1)
        return regions.masked_fill(regions < 0.5, 0)

    def _fits_levels(self, boxes: Tensor) -> Tensor:
        """(levels, G) bool: whether the size of an object lies in the range of a level."""
        scale = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
        return torch.stack([(low <= scale) & (scale <= high) for low, high in self.scale_ranges])

    def _label_ranges(self, labels: Tensor, sem_seg: Tensor) -> Tensor:
        """(4,) least and greatest label of the objects and of the semantic map without void."""
        semantic = sem_seg.long()
        highest = semantic.masked_fill(semantic == VOID, -1).amax()
        objects = labels.aminmax() if len(labels) else labels.new_zeros(2)
        return torch.stack([*objects, semantic.amin(), highest])

    def _check_labels(self, ranges: list[int]) -> None:
        num_classes = self.num_things_classes + self.num_stuff_classes
        for what, (low, high), limit in (
            ('object', ranges[:2], self.num_things_classes),
            ('semantic', ranges[2:], num_classes),
        ):
            if low < 0 or high >= limit:
                raise ValueError(
                    f'{what} labels run from {low} to {high}, but '
                    f'num_things_classes={self.num_things_classes} and '
                    f'num_stuff_classes={self.num_stuff_classes} allow 0 to {limit - 1}: set both '
                    'in panoptic_head and panoptic_fusion_head to the counts of the data set, in '
                    'which thing classes come first'
                )

    def _mass_centers(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (x, y) of the non-zero cells, (n, 2), and whether there is any, (n,)."""
        inside = (masks > 0).float()
        columns, rows = inside.sum(1), inside.sum(2)
        count = rows.sum(1)
        ys, xs = (torch.arange(float(n), device=masks.device) for n in masks.shape[1:])
        total = torch.stack([columns @ xs, rows @ ys], dim=1)
        return total / count.clamp(min=1)[:, None], count > 0

    def _draw_centers(
        self,
        size: tuple[int, int],
        mask_size: tuple[int, int],
        labels: Tensor,
        boxes: Tensor,
        mass_centers: Tensor,
    ) -> Tensor:
        """Heat map (T, h, w) of the objects of a level."""
        sides = boxes[:, 2:] - boxes[:, :2]  # (P, 2) as (w, h)
        # cells of this level per cell at stride 4, as (x, y)
        ratio = sides.new_tensor([size[1] / mask_size[1], size[0] / mask_size[0]])
        last = sides.new_tensor([size[1] - 1, size[0] - 1])
        return draw_gaussians(
            size,
            labels,
            # a truncated mass centre can not pass the last cell; clamped all the same, as by rule
            torch.minimum((mass_centers * ratio).floor(), last),
            gaussian_radius(sides / 4 * ratio),
            self.num_things_classes,
        )


def to_host(*tensors: Tensor) -> list[Tensor]:
    """Copies of small tensors of whole numbers or bools on the CPU, by one transfer."""
    values = torch.cat([x.flatten().long() for x in tensors]).cpu()
    parts = values.split([x.numel() for x in tensors])
    return [part.view(x.shape).to(x.dtype) for part, x in zip(parts, tensors, strict=True)]


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
