"""The data that flows between the parts, and every letter and shape, documented once.

====== =====================================================================================
letter meaning
====== =====================================================================================
N      images in the batch
T, S   thing classes, stuff classes. A *label* is 0..T-1 for things and T..T+S-1 for stuff
R      region channels of the position head: stuff class ``c`` is channel ``c - T``. Then comes
       "any thing", R = S + 1 (last is mmdet's convention; the published code puts it first); or,
       with ``separate_thing_regions``, thing class ``c`` is channel ``S + c``, R = S + T
C      width of a raw kernel; E: width of ``mask_feats`` and of an embedded kernel
G      ground truth objects of an image; K kernels of an image; P (object, level) pairs
(H, W) padded input in pixels; (h, w) the cells of one pyramid level
====== =====================================================================================
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from ..formats.inputs import Input


class LevelMaps(NamedTuple):
    """What the kernel generator says about one pyramid level.

    Attributes:
        centers: (N, T, h, w) logits of object centres.
        regions: (N, R, h, w) logits of stuff regions, "any thing" last.
        kernels: (N, C, h, w) one raw kernel per cell.
    """

    centers: Tensor
    regions: Tensor
    kernels: Tensor

    def float(self) -> 'LevelMaps':
        """The same in float32."""
        return LevelMaps(*(maps.float() for maps in self))


@dataclass
class NetworkOutput:
    """What the network says about one image, before any threshold.

    Attributes:
        input: the image's name and where it is from.
        image: (H, W, 3) uint8 RGB, as it was given.
        levels: maps of P3..P7, of a batch of one.
        mask_feats: (1, E, H/4, W/4) of the padded input.
        data_sample: with ``img_shape`` and ``ori_shape``.
    """

    input: Input
    image: np.ndarray
    levels: list[LevelMaps]
    mask_feats: Tensor
    data_sample: DetDataSample


class LevelTargets(NamedTuple):
    """Targets of one image at one pyramid level.

    Attributes:
        centers: (T, h, w) in [0, 1], the maximum of the Gaussians of a class.
        regions: (R, h, w) in {0} or [0.5, 1], how much of a cell a region class covers.
        objects: (P,) int64, rows of :attr:`ImageTargets.masks` that belong to this level. An
            object whose size lies in two overlapping scale ranges belongs to two levels.
        region_rows: (Q,) int64, rows of :attr:`ImageTargets.region_masks` present at this level.
    """

    centers: Tensor
    regions: Tensor
    objects: Tensor
    region_rows: Tensor


class ImageTargets(NamedTuple):
    """Targets of one image. Masks are soft, in [0, 1], at stride 4, zero-padded to the encoder.

    Attributes:
        masks: (G, H/4, W/4) one mask per object; objects that vanish at stride 4 are not in it.
        labels: (G,) int64 thing labels.
        region_masks: (B, H/4, W/4) one mask per region class present in the image.
        region_channels: (B,) int64 region channels, ascending.
        levels: targets per pyramid level, finest first.
        num_objects: of the ground truth, those that vanish included.
        size: (h, w) cells of the image at stride 4; what follows in the maps is padding.
    """

    masks: Tensor
    labels: Tensor
    region_masks: Tensor
    region_channels: Tensor
    levels: list[LevelTargets]
    num_objects: int
    size: tuple[int, int]

    @property
    def object_rows(self) -> Tensor:
        """(P,) ``objects`` of all levels."""
        return torch.cat([level.objects for level in self.levels])

    @property
    def region_rows(self) -> Tensor:
        """(Q,) ``region_rows`` of all levels."""
        return torch.cat([level.region_rows for level in self.levels])


def region_labels(
    num_things_classes: int, num_stuff_classes: int, separate_thing_regions: bool
) -> list[int]:
    """Label of each of the R region channels; that of "any thing" is T + S."""
    num_classes = num_things_classes + num_stuff_classes
    things = range(num_things_classes) if separate_thing_regions else [num_classes]
    return [*range(num_things_classes, num_classes), *things]
