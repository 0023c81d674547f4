"""The panoptic head: reads like section 3 of the paper."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from ..structures import ImageTargets, LevelMaps, region_labels
from .assigner import VOID, without_padding
from .intra_batch import build_intra_batch_loss, intra_batch_loss
from .kernel_fusion import draw_same_pixels
from .kernel_update import build_kernel_update
from .layers import convolve
from .losses import average_factors, build_position_loss, map_loss, mask_loss, stack_targets
from .relative_position import check_place_channels
from .sampling import (
    NOT_FINITE,
    TrainingKernels,
    gather_kernels,
    level_peaks,
    pool_regions,
    select,
    training_kernels,
)
from .settings import InferenceSettings, TrainingSettings, read_settings

MAX_CLASSES = VOID
"""Labels that a semantic map of bytes has besides void."""

TOO_MANY = (
    'an image has more candidates of objects on a level than test_cfg.max_per_img={0.max_per_img} '
    'allows, half of it a level: the others are not looked at. Raise max_per_img, or center_thr'
)
"""What is said where the limit, not the threshold, decides."""


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
        loss_intra_batch: that of thing kernels on the other image of a pair, which
            :func:`intra_batch_loss` calls; None for no such loss, and then batches are no pairs.
        train_cfg: see :class:`TrainingSettings`; None for a model that is not trained.
        test_cfg: see :class:`InferenceSettings`.
        init_cfg: weights to load.
        separate_thing_regions: every thing class is a region class of its own (the paper's
            Cityscapes recipe, R = S + T), instead of one region class "any thing" (R = S + 1).
        kernel_update: config of :class:`KernelUpdate`; None, as published, for none.
        class_path: config of :class:`ClassPath`; None, as published, for none. It needs features
            of the backbone, which :class:`PanopticFCN` gives.

    Raises:
        ValueError: when ``train_cfg`` or ``test_cfg`` has an unknown or lacks a necessary key, or
            there is no thing class, or more classes than the targets have labels for.

    Attributes:
        observer: called by :meth:`loss_by_feat` with the targets and :class:`TrainingKernels` of
            the images, if it is not None.
    """

    observer: Callable[[list[ImageTargets], list[TrainingKernels]], None] | None = None

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
        kernel_update: dict | None = None,
        loss_intra_batch: dict | None = None,
        class_path: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_class_counts(num_things_classes, num_stuff_classes)
        self.num_things_classes = num_things_classes
        self.num_stuff_classes = num_stuff_classes
        self.num_classes = num_things_classes + num_stuff_classes
        counts = dict(
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes,
            separate_thing_regions=separate_thing_regions,
        )
        self.region_labels = region_labels(**counts)
        self.feature_encoder = MODELS.build(feature_encoder)
        num_regions = len(self.region_labels)
        channels = dict(num_things_classes=num_things_classes, num_region_channels=num_regions)
        self.kernel_generator = MODELS.build(
            kernel_generator,
            default_args=dict(embed_channels=self.feature_encoder.out_channels, **channels),
        )
        self.class_path = class_path and MODELS.build(class_path, default_args=channels)
        check_place_channels(self.kernel_generator, self.feature_encoder)
        self.kernel_fusion = MODELS.build(kernel_fusion)
        self.loss_center, self.loss_region = map(build_position_loss, (loss_center, loss_region))
        self.loss_thing, self.loss_stuff = map(MODELS.build, (loss_thing, loss_stuff))
        self.loss_intra_batch = build_intra_batch_loss(loss_intra_batch)
        self.test_cfg = read_settings(InferenceSettings, 'test_cfg', test_cfg)
        self.train_cfg = read_settings(TrainingSettings, 'train_cfg', train_cfg)
        self.kernel_update = build_kernel_update(
            kernel_update, self.feature_encoder, self.num_classes
        )
        if self.train_cfg:
            self.assigner = TASK_UTILS.build(self.train_cfg.assigner, default_args=counts)

    def forward(
        self, feats: Sequence[Tensor], batch_data_samples: SampleList | None = None
    ) -> tuple[list[LevelMaps], Tensor]:
        """The network without targets or post-processing.

        Args:
            feats: P2..P7, each (N, channels, h, w), and behind them those of ``class_path``.
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
        if self.class_path is None:
            return generate(feats[1:]), encode(feats[:num_encoded])
        end = len(feats) - len(self.class_path.in_channels)
        levels = self.class_path(generate(feats[1:end]), feats[end:])
        return levels, encode(feats[:num_encoded])

    def loss(self, feats: Sequence[Tensor], batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            feats: P2..P7.
            batch_data_samples: with ``gt_instances`` (masks, labels, bboxes), ``gt_sem_seg`` and
                ``img_shape``. An image may lack things, stuff or both.

        Returns:
            ``loss_center``, ``loss_region``, ``loss_thing``, ``loss_stuff``, and those that are
            switched on. Every parameter gets a gradient from their sum whatever the images contain.

        Raises:
            ValueError: without ``train_cfg``, or for an odd batch with ``loss_intra_batch``.
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
            levels = [maps.float() for maps in levels]
            targets = self.get_targets(levels, mask_feats, batch_data_samples)
            return self.loss_by_feat(levels, mask_feats.float(), targets)

    def get_targets(
        self, levels: list[LevelMaps], mask_feats: Tensor, batch_data_samples: SampleList
    ) -> list[ImageTargets]:
        """Targets per image; padding of masks and semantic maps is cut off first."""
        level_sizes = [maps.centers.shape[-2:] for maps in levels]
        return [
            self.assigner.assign(
                *without_padding(sample, mask_feats.device), level_sizes, mask_feats.shape[-2:]
            )
            for sample in batch_data_samples
        ]

    def loss_by_feat(
        self, levels: list[LevelMaps], mask_feats: Tensor, targets: list[ImageTargets]
    ) -> dict[str, Tensor]:
        """Losses of a batch from the network's output and the targets of every image.

        Each is divided by the count of what it sums over, which :func:`average_factors` exchanges
        between the processes of a distributed run: all of them must call this in every step.
        """
        num_objects, num_regions, *num_cells = average_factors(
            [
                sum(len(image.object_rows) for image in targets),
                sum(len(image.region_rows) for image in targets),
                *(maps.regions[:, 0].numel() for maps in levels),  # N * h * w
            ],
            mask_feats.device,
            self.train_cfg.sync_avg_factor,
        )
        num_positives = self.train_cfg.num_positives
        kernels = training_kernels(levels, targets, num_positives, self.kernel_generator)
        if self.observer is not None:
            self.observer(targets, kernels)
        thing_loss = partial(mask_loss, self.loss_thing, avg_factor=num_objects)
        stuff_loss = partial(mask_loss, self.loss_stuff, avg_factor=num_regions)
        images = list(zip(kernels, targets, mask_feats.unbind(), strict=True))
        by_level = stack_targets(targets)
        losses = dict(
            loss_center=sum(
                map_loss(self.loss_center, maps.centers, centers, num_objects)
                for maps, (centers, _) in zip(levels, by_level, strict=True)
            ),
            loss_region=sum(
                map_loss(self.loss_region, maps.regions, regions, number)
                for maps, (_, regions), number in zip(levels, by_level, num_cells, strict=True)
            ),
            loss_thing=sum(
                thing_loss(k.things, k.weights, t.masks, t.object_rows, x) for k, t, x in images
            ),
            loss_stuff=sum(
                stuff_loss(k.stuff[:, None], None, t.region_masks, t.region_rows, x)
                for k, t, x in images
            ),
        )
        if self.kernel_update:
            losses |= self.kernel_update.loss(
                images, self.region_labels, thing_loss, stuff_loss, num_objects + num_regions
            )
        if self.loss_intra_batch is not None:
            losses['loss_intra_batch'] = intra_batch_loss(
                self.loss_intra_batch, kernels, targets, mask_feats, num_objects
            )
        return losses

    def predict(
        self, feats: Sequence[Tensor], batch_data_samples: SampleList
    ) -> tuple[list[InstanceData], list[InstanceData]]:
        """:meth:`predict_by_feat` of the network's output for P2..P7; samples are not used."""
        return self.predict_by_feat(*self(feats))

    def predict_by_feat(
        self, levels: list[LevelMaps], mask_feats: Tensor
    ) -> tuple[list[InstanceData], list[InstanceData]]:
        """Kernels of every image, convolved: what the fusion head turns into a panoptic map.

        Args:
            levels: maps of P3..P7.
            mask_feats: (N, E, H/4, W/4).

        Returns:
            Things, best first before their update, and regions of every image, after kernel fusion:
            ``kernels`` (K, E), ``labels`` (K,), ``scores`` (K,), ``num_kernels`` (K,) that were
            fused into each, and ``mask_logits`` (K, H/4, W/4). The labels of regions are those of
            stuff, T + S for "any thing", and with ``separate_thing_regions`` those of things.
        """
        if not mask_feats.float().mean().isfinite():
            raise ValueError(NOT_FINITE)
        similarity_thr, iou_thr = self.test_cfg.similarity_thr, self.test_cfg.fusion_iou_thr
        # float32, also under mixed precision: in bfloat16 the neighbours of a peak are its equals
        with torch.autocast(mask_feats.device.type, enabled=False):
            levels = [maps.float() for maps in levels]
            things = [
                self.kernel_fusion(k, similarity_thr, draw_same_pixels(k.kernels, feats, iou_thr))
                for k, feats in zip(self.thing_kernels(levels), mask_feats.float(), strict=True)
            ]
            regions = [self.kernel_fusion(k) for k in self.region_kernels(levels)]
            if self.kernel_update:
                for image in zip(things, regions, mask_feats.float(), strict=True):
                    self.kernel_update.update_image(*image)
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

    def thing_kernels(self, levels: list[LevelMaps]) -> list[InstanceData]:
        """Per image the embedded kernels of all levels' peaks, best first, before fusion."""
        cfg = self.test_cfg
        peaks = level_peaks(levels, cfg)
        kernels = [
            gather_kernels(level.kernels, found.cells)
            for level, found in zip(levels, peaks, strict=True)
        ]
        scores, labels, _ = (torch.cat(parts, 1) for parts in zip(*peaks, strict=True))
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        kernels = self.kernel_generator.thing_embed(torch.cat(kernels, 1))
        things = select(
            scores > cfg.center_thr,
            kernels=kernels.take_along_dim(order[..., None], 1),
            labels=labels.gather(1, order),
            scores=scores,
        )
        limit = cfg.peaks_per_level
        if max(map(len, things)) >= limit:
            # candidates of lower scores would not come into the panoptic map
            least = max(cfg.center_thr, cfg.panoptic_score_thr)
            last = [found.scores[:, -1] for found in peaks if found.scores.shape[1] == limit]
            if any(worst.max() > least for worst in last):
                warnings.warn(TOO_MANY.format(cfg), stacklevel=2)
        return things

    def region_kernels(self, levels: list[LevelMaps]) -> list[InstanceData]:
        """Per image the embedded kernels of the region classes of all levels, before fusion."""
        pooled = [pool_regions(level.regions, level.kernels) for level in levels]
        scores = torch.cat([scores for scores, _ in pooled], 1)
        labels = torch.tensor(self.region_labels * len(levels), device=scores.device)
        return select(
            scores > self.test_cfg.region_thr,
            kernels=self.kernel_generator.stuff_embed(torch.cat([x for _, x in pooled], 1)),
            labels=labels.expand_as(scores),
            scores=scores,
        )


def check_class_counts(num_things_classes: int, num_stuff_classes: int) -> None:
    """Raise ValueError when there is no thing class, or more classes than labels."""
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
