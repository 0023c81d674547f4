"""The panoptic head: reads like section 3 of the paper."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from ..ops.chunks import sum_over_chunks
from ..structures import ImageTargets, LevelMaps
from ..structures.segment_masks import SegmentMasks
from .assigner import VOID
from .kernel_fusion import draw_same_pixels
from .losses import average_factors
from .sampling import gather_kernels, level_peaks, mean_over_cells, pool_regions, sample_positives
from .settings import InferenceSettings, TrainingSettings, read_settings

MAX_CLASSES = VOID
"""Labels that a semantic map of bytes has besides void."""


NOT_FINITE = (
    'the network gave NaN or an infinite number, expected finite scores, kernels and mask_feats: '
    'look for such numbers in the weights and the image, or run it in float32'
)
"""What is said of an output that would otherwise silently remove objects of all classes."""


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


@MODELS.register_module()
class PanopticFCNHead(BaseModule):
    """Kernels for objects and stuff, convolved with one feature map (arXiv 2012.00720).

    It fits the ``panoptic_head`` slot of mmdet's panoptic detectors (:class:`PanopticFCN`,
    ``MaskFormer``) with a neck that gives P2..P7.

    Args:
        num_things_classes: T.
        num_stuff_classes: S.
        kernel_generator: config of :class:`KernelGenerator`, or of a module built with
            ``num_things_classes``, ``num_region_channels`` and ``embed_channels`` more, that maps
            P3..P7 to a :class:`LevelMaps` each and has ``thing_embed`` and ``stuff_embed``, from
            (..., C) to (..., E).
        feature_encoder: config of :class:`FeatureEncoder`, or of a module with ``num_levels`` and
            ``out_channels`` (E) that maps the ``num_levels`` first features to mask_feats.
        kernel_fusion: config of :class:`KernelFusion`.
        loss_center: config of the loss of object centres. A loss is called with logits, soft
            targets of the same shape, ``weight`` (n,) of rows for masks, and ``avg_factor``, by
            which it divides its sum: it may see the rows in chunks, whose losses are added.
        loss_region: that of stuff regions.
        loss_thing: that of thing masks, (n, H/4, W/4).
        loss_stuff: that of stuff masks.
        train_cfg: see :class:`TrainingSettings`; None for a model that is not trained.
        test_cfg: see :class:`InferenceSettings`.
        init_cfg: weights to load.
        separate_thing_regions: every thing class is a region class of its own (the paper's
            Cityscapes recipe, R = S + T), instead of one region class "any thing" (R = S + 1).

    Raises:
        ValueError: when ``train_cfg`` or ``test_cfg`` has an unknown or lacks a necessary key, or
            there is no thing class, or more classes than the targets have labels for.

    Attributes:
        observer: called by :meth:`loss_by_feat` with the targets and :class:`TrainingKernels` of
            the images, if it is not None.
    """

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int,
        kernel_generator: dict,
        feature_encoder: dict,
        kernel_fusion: dict,
        loss_center: dict,
        loss_region: dict,
        loss_thing: dict,
        loss_stuff: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
        separate_thing_regions: bool = False,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_things_classes < 1:
            raise ValueError(
                f'panoptic_head.num_things_classes={num_things_classes}, expected at least 1: for '
                'data of stuff only add a thing class that no segment has (docs/datasets.md)'
            )
        if num_things_classes + num_stuff_classes > MAX_CLASSES:
            raise ValueError(
                f'panoptic_head has num_things_classes={num_things_classes} and num_stuff_classes='
                f'{num_stuff_classes}, {num_things_classes + num_stuff_classes} together, expected '
                f'at most {MAX_CLASSES}: label {VOID} is void in semantic maps; merge or leave out '
                'classes'
            )
        self.observer: Callable[[list[ImageTargets], list[TrainingKernels]], None] | None = None
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes
        self.num_classes = num_things_classes + num_stuff_classes
        num_thing_regions = num_things_classes if separate_thing_regions else 1
        self.feature_encoder = MODELS.build(feature_encoder)
        self.kernel_generator = MODELS.build(
            kernel_generator,
            default_args=dict(
                num_things_classes=num_things_classes,
                num_region_channels=num_stuff_classes + num_thing_regions,
                embed_channels=self.feature_encoder.out_channels,
            ),
        )
        # of the region channels: stuff, then things or "any thing"
        thing_regions = range(num_things_classes) if separate_thing_regions else [self.num_classes]
        self.region_labels = [*range(num_things_classes, self.num_classes), *thing_regions]
        self.kernel_fusion = MODELS.build(kernel_fusion)
        self.loss_center = build_position_loss(loss_center)
        self.loss_region = build_position_loss(loss_region)
        self.loss_thing = MODELS.build(loss_thing)
        self.loss_stuff = MODELS.build(loss_stuff)
        self.test_cfg = read_settings(InferenceSettings, 'test_cfg', test_cfg) if test_cfg else None
        self.train_cfg = None
        if train_cfg:
            self.train_cfg = read_settings(TrainingSettings, 'train_cfg', train_cfg)
            self.assigner = TASK_UTILS.build(
                self.train_cfg.assigner,
                default_args=dict(
                    num_things_classes=num_things_classes,
                    num_stuff_classes=num_stuff_classes,
                    separate_thing_regions=separate_thing_regions,
                ),
            )

    def forward(
        self, feats: Sequence[Tensor], batch_data_samples: SampleList | None = None
    ) -> tuple[list[LevelMaps], Tensor]:
        """The network without targets or post-processing.

        Args:
            feats: P2..P7, each (N, channels, h, w).
            batch_data_samples: not used; mmdet's panoptic detectors pass it.

        Returns:
            Maps of P3..P7, and mask_feats (N, E, H/4, W/4).
        """
        num_encoded = self.feature_encoder.num_levels
        generate, encode = self.kernel_generator, self.feature_encoder
        if self.training and self.train_cfg and self.train_cfg.with_cp:
            generate, encode = (
                partial(checkpoint, part, use_reentrant=False) for part in (generate, encode)
            )
        return generate(feats[1:]), encode(feats[:num_encoded])

    # ---- training ----

    def loss(self, feats: Sequence[Tensor], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            feats: P2..P7.
            batch_data_samples: with ``gt_instances`` (masks, labels, bboxes), ``gt_sem_seg`` and
                ``img_shape``. An image may lack things, stuff or both.

        Returns:
            ``loss_center``, ``loss_region``, ``loss_thing``, ``loss_stuff``. Every parameter gets a
            gradient from their sum whatever the images contain.

        Raises:
            ValueError: without ``train_cfg``.
        """
        if self.train_cfg is None:
            raise ValueError(
                'the head was built without train_cfg, which loss needs: set model.train_cfg '
                '(configs/_base_/models/panoptic_fcn_r50.py has one)'
            )
        levels, mask_feats = self(feats)
        # In float32, also under mixed precision: float16 has neither the sums of a mass centre nor
        # the smallest scores nor the lower bound 1e-8 of the dice loss.
        with torch.autocast(mask_feats.device.type, enabled=False):
            levels = [LevelMaps(*(x.float() for x in level)) for level in levels]
            targets = self.get_targets(levels, mask_feats, batch_data_samples)
            return self.loss_by_feat(levels, mask_feats.float(), targets)

    def get_targets(
        self, levels: list[LevelMaps], mask_feats: Tensor, batch_data_samples: SampleList
    ) -> list[ImageTargets]:
        """Targets per image; padding of masks and semantic maps is cut off first."""
        level_sizes = [maps.centers.shape[-2:] for maps in levels]
        targets = []
        for sample in batch_data_samples:
            h, w = sample.img_shape[:2]
            gt = sample.gt_instances
            if isinstance(gt.masks, SegmentMasks):
                masks = gt.masks.crop(np.array([0, 0, w, h]))
            else:
                masks = gt.masks.to_tensor(torch.uint8, mask_feats.device)[:, :h, :w]
            objects = InstanceData(masks=masks, labels=gt.labels, bboxes=gt.bboxes)
            sem_seg = sample.gt_sem_seg.sem_seg[0, :h, :w]
            targets.append(
                self.assigner.assign(objects, sem_seg, level_sizes, mask_feats.shape[-2:])
            )
        return targets

    def loss_by_feat(
        self, levels: list[LevelMaps], mask_feats: Tensor, targets: list[ImageTargets]
    ) -> dict[str, Tensor]:
        """Losses of a batch from the network's output and the targets of every image.

        Each is divided by the count of what it sums over, which :func:`average_factors` exchanges
        between the processes of a distributed run: all of them must call this in every step.
        """
        by_level = list(zip(*(image.levels for image in targets), strict=True))
        num_objects, num_regions, *num_cells = average_factors(
            [
                sum(len(t.objects) for level in by_level for t in level),
                sum(len(t.region_rows) for level in by_level for t in level),
                *(maps.regions[:, 0].numel() for maps in levels),  # N * h * w
            ],
            mask_feats.device,
            self.train_cfg.sync_avg_factor,
        )
        # by unbind, whose gradient is one copy; that of x[i] is a map of the batch for every image
        unbound = [zip(*(x.unbind() for x in level), strict=True) for level in levels]
        kernels = [
            self.training_kernels([LevelMaps(*level) for level in maps], image)
            for image, *maps in zip(targets, *unbound, strict=True)
        ]
        if self.observer is not None:
            self.observer(targets, kernels)
        images = list(zip(kernels, mask_feats.unbind(), targets, strict=True))
        centers = [torch.stack([t.centers for t in level]) for level in by_level]
        regions = [torch.stack([t.regions for t in level]) for level in by_level]
        return dict(
            loss_center=sum(
                map_loss(self.loss_center, maps.centers, target, num_objects)
                for maps, target in zip(levels, centers, strict=True)
            ),
            loss_region=sum(
                map_loss(self.loss_region, maps.regions, target, number)
                for maps, target, number in zip(levels, regions, num_cells, strict=True)
            ),
            loss_thing=sum(self._thing_mask_loss(*image, num_objects) for image in images),
            loss_stuff=sum(self._stuff_mask_loss(*image, num_regions) for image in images),
        )

    def training_kernels(self, maps: list[LevelMaps], targets: ImageTargets) -> TrainingKernels:
        """The embedded kernels of one image that its ground truth chooses; maps without N."""
        things, scores, stuff = [], [], []
        for level, target in zip(maps, targets.levels, strict=True):
            cells, level_scores = sample_positives(
                level.centers,
                targets.labels[target.objects],
                targets.masks[target.objects],
                self.train_cfg.num_positives,
            )
            things.append(level.kernels.flatten(1).T[cells])  # (hw, C) -> (P, k, C)
            scores.append(level_scores)
            channels = targets.region_channels[target.region_rows]
            supports = (target.regions[channels] > 0).to(level.kernels.dtype)
            stuff.append(mean_over_cells(supports.flatten(1), level.kernels))
        return TrainingKernels(
            things=self.kernel_generator.thing_embed(torch.cat(things)),
            scores=torch.cat(scores),
            stuff=self.kernel_generator.stuff_embed(torch.cat(stuff)),
        )

    def _thing_mask_loss(
        self,
        kernels: TrainingKernels,
        mask_feats: Tensor,
        targets: ImageTargets,
        avg_factor: float | Tensor,
    ) -> Tensor:
        """Loss of the k best kernels of every (object, level), weighted by their scores."""
        objects = torch.cat([target.objects for target in targets.levels])
        weights = kernels.scores / kernels.scores.sum(1, keepdim=True).clamp(min=1e-8)

        def loss(kernels: Tensor, weights: Tensor, objects: Tensor, feats: Tensor) -> Tensor:
            masks = targets.masks[objects.repeat_interleave(kernels.shape[1])]  # (P * k, h, w)
            logits = convolve(kernels.flatten(0, 1), feats)
            return self.loss_thing(logits, masks, weight=weights.flatten(), avg_factor=avg_factor)

        row_size = kernels.things.shape[1] * mask_feats[0].numel()
        return sum_over_chunks(
            loss, kernels.things, weights, objects, row_size=row_size, shared=[mask_feats]
        )

    def _stuff_mask_loss(
        self,
        kernels: TrainingKernels,
        mask_feats: Tensor,
        targets: ImageTargets,
        avg_factor: float | Tensor,
    ) -> Tensor:
        """Loss of the pooled kernel of every (region class, level) present."""
        rows = torch.cat([target.region_rows for target in targets.levels])

        def loss(kernels: Tensor, rows: Tensor, feats: Tensor) -> Tensor:
            masks, weights = targets.region_masks[rows], kernels.new_ones(len(kernels))
            logits = convolve(kernels, feats)
            return self.loss_stuff(logits, masks, weight=weights, avg_factor=avg_factor)

        row_size = mask_feats[0].numel()
        return sum_over_chunks(loss, kernels.stuff, rows, row_size=row_size, shared=[mask_feats])

    # ---- inference ----

    def predict(
        self, feats: Sequence[Tensor], batch_data_samples: SampleList
    ) -> tuple[list[InstanceData], list[InstanceData]]:
        """Kernels of every image, convolved: what the fusion head turns into a panoptic map.

        Args:
            feats: P2..P7.
            batch_data_samples: not used; mmdet's panoptic detectors pass it.

        Returns:
            See :meth:`predict_by_feat`.
        """
        return self.predict_by_feat(*self(feats))

    def predict_by_feat(
        self, levels: list[LevelMaps], mask_feats: Tensor
    ) -> tuple[list[InstanceData], list[InstanceData]]:
        """Kernels of every image, convolved, from the network's output.

        Args:
            levels: maps of P3..P7.
            mask_feats: (N, E, H/4, W/4).

        Returns:
            Things, best first, and regions of every image, after kernel fusion: ``kernels`` (K, E),
            ``labels`` (K,), ``scores`` (K,), ``num_kernels`` (K,) that were fused into each, and
            ``mask_logits`` (K, H/4, W/4). The labels of regions are those of stuff, T + S for "any
            thing", and with ``separate_thing_regions`` those of things.
        """
        if not mask_feats.float().mean().isfinite():
            raise ValueError(NOT_FINITE)
        similarity_thr = self.test_cfg.similarity_thr
        # float32, also under mixed precision: in bfloat16 the neighbours of a peak are its equals
        with torch.autocast(mask_feats.device.type, enabled=False):
            levels = [LevelMaps(*(x.float() for x in level)) for level in levels]
            things = [
                self.kernel_fusion(k, similarity_thr, self.same_pixels(k.kernels, feats))
                for k, feats in zip(self.thing_kernels(levels), mask_feats.float(), strict=True)
            ]
            regions = [self.kernel_fusion(k) for k in self.region_kernels(levels)]
            # all images in one product, filled up with zeros to the same number of kernels
            kernels = [
                torch.cat([t.kernels, r.kernels]) for t, r in zip(things, regions, strict=True)
            ]
            logits = convolve(pad_sequence(kernels, batch_first=True), mask_feats.float())
        for image_things, image_regions, masks in zip(things, regions, logits, strict=True):
            num_things, num_regions = len(image_things), len(image_regions)
            image_things.mask_logits = masks[:num_things]
            image_regions.mask_logits = masks[num_things : num_things + num_regions]
        return things, regions

    def same_pixels(self, kernels: Tensor, mask_feats: Tensor) -> Tensor | None:
        """:func:`draw_same_pixels` of an image, where ``fusion_iou_thr`` wants it."""
        iou_thr = self.test_cfg.fusion_iou_thr
        return None if iou_thr is None else draw_same_pixels(kernels, mask_feats, iou_thr)

    def thing_kernels(self, levels: list[LevelMaps]) -> list[InstanceData]:
        """Per image the embedded kernels of all levels' peaks, best first, before fusion.

        With ``levels`` (K,), the number of each one's level, and ``cells`` (K,) in it.
        """
        cfg = self.test_cfg
        peaks = level_peaks(levels, cfg)
        kernels = [
            gather_kernels(level.kernels, found.cells)
            for level, found in zip(levels, peaks, strict=True)
        ]
        numbers = [torch.full_like(x.cells, number) for number, x in enumerate(peaks)]
        scores, labels, cells = (torch.cat(parts, 1) for parts in zip(*peaks, strict=True))
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        kernels = self.kernel_generator.thing_embed(torch.cat(kernels, 1))
        return select(
            scores > cfg.center_thr,
            kernels=kernels.take_along_dim(order[..., None], 1),
            labels=labels.gather(1, order),
            scores=scores,
            levels=torch.cat(numbers, 1).gather(1, order),
            cells=cells.gather(1, order),
        )

    def region_kernels(self, levels: list[LevelMaps]) -> list[InstanceData]:
        """Per image the embedded kernels of the region classes of all levels, before fusion.

        With ``levels`` (K,), the number of each one's level.
        """
        pooled = [pool_regions(level.regions, level.kernels) for level in levels]
        scores = torch.cat([scores for scores, _ in pooled], 1)
        labels = torch.tensor(self.region_labels * len(levels), device=scores.device)
        numbers = torch.arange(len(levels), device=scores.device)
        return select(
            scores > self.test_cfg.region_thr,
            kernels=self.kernel_generator.stuff_embed(torch.cat([x for _, x in pooled], 1)),
            labels=labels.expand_as(scores),
            scores=scores,
            levels=numbers.repeat_interleave(len(self.region_labels)).expand_as(scores),
        )


def build_position_loss(config: dict) -> nn.Module:
    """Build a loss of centres or regions; configs of old have ``PositionLoss`` for FocalLoss."""
    if config['type'] == 'PositionLoss':
        config = {**config, 'type': 'FocalLoss'}
    return MODELS.build(config)


def map_loss(
    loss: nn.Module, logits: Tensor, targets: Tensor, avg_factor: float | Tensor
) -> Tensor:
    """A loss of the maps (N, X, h, w) of one level, some images at a time."""
    return sum_over_chunks(
        partial(loss, avg_factor=avg_factor), logits, targets, row_size=logits[0].numel()
    )


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


def convolve(kernels: Tensor, mask_feats: Tensor) -> Tensor:
    """Every kernel as a 1 x 1 convolution: (K, E) x (E, H/4, W/4) -> logits (K, H/4, W/4).

    Both may have further dimensions in front.
    """
    return (kernels @ mask_feats.flatten(-2)).unflatten(-1, mask_feats.shape[-2:])
