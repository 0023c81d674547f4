"""All image geometry: mask logits to instances, a semantic map and the panoptic map."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.models.seg_heads.panoptic_fusion_heads import BasePanopticFusionHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, SampleList
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from .settings import InferenceSettings, read_settings

CHUNK_PIXELS = 2**24
"""Pixels of full-size probability maps held at a time: 64 MiB in float32."""


@MODELS.register_module()
class PanopticFCNFusionHead(BasePanopticFusionHead):
    """Rescore, resize and merge the masks of one image, as in the paper's inference.

    Args:
        num_things_classes: T.
        num_stuff_classes: S.
        test_cfg: see :class:`InferenceSettings`.
        init_cfg: not used, the head has no weights.
    """

    def __init__(
        self,
        num_things_classes: int,
        num_stuff_classes: int,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_things_classes, num_stuff_classes, init_cfg=init_cfg)
        self.test_cfg = read_settings(InferenceSettings, 'test_cfg', test_cfg) if test_cfg else None

    def loss(self) -> dict:
        """Nothing is trained here."""
        return {}

    def predict(
        self,
        things: list[InstanceData],
        regions: list[InstanceData],
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> list[dict]:
        """Results of every image.

        Args:
            things: per image ``labels`` (K,), ``scores`` (K,) and ``mask_logits`` (K, H/4, W/4).
            regions: likewise; labels of stuff, T + S for "any thing", or labels of things. Only
                regions of stuff become segments; where another one is best, pixels stay void
                unless an object takes them.
            batch_data_samples: with ``img_shape`` and ``ori_shape``.
            rescale: results in ``ori_shape`` (else in ``img_shape``).

        Returns:
            Per image a dict with, as far as ``test_cfg`` asks for them:

            - ``pan_results``: PixelData, ``sem_seg`` (1, H, W) int32 of ``label + instance *
              INSTANCE_OFFSET``, void T + S. Its metainfo ``segments_info`` has a dict for each
              segment: ``id`` in the map, ``label``, ``isthing``, ``score``, ``area`` in pixels.
            - ``ins_results``: InstanceData, best first: ``masks`` (n, H, W) bool, ``bboxes`` (n, 4)
              around the masks, ``labels``, ``scores``.
            - ``sem_results``: PixelData, ``sem_seg`` (1, H, W) int16: the label of the best region,
              T + S where "any thing" or nothing is best.
        """
        return [
            self._predict_single(*image, rescale)
            for image in zip(things, regions, batch_data_samples, strict=True)
        ]

    def _predict_single(
        self, things: InstanceData, regions: InstanceData, sample: DetDataSample, rescale: bool
    ) -> dict:
        sizes = dict(img_shape=sample.img_shape[:2], out_shape=sample.ori_shape[:2])
        if not rescale:
            sizes['out_shape'] = sizes['img_shape']
        things = self._rescore(things)
        instance, masks = self._place_things(things, **sizes)
        sem_seg = self._semantic_map(regions, **sizes)
        results = {}
        if self.test_cfg.panoptic_on:
            results['pan_results'] = self._merge(instance, things, sem_seg, regions)
        if self.test_cfg.instance_on:
            results['ins_results'] = InstanceData(
                masks=masks, bboxes=mask2bbox(masks), labels=things.labels, scores=things.scores
            )
        if self.test_cfg.semantic_on:
            results['sem_results'] = PixelData(sem_seg=sem_seg[None])
        return results

    def _rescore(self, things: InstanceData) -> InstanceData:
        """Rescore by the mean probability inside the mask, keep the best."""
        probs = things.mask_logits.sigmoid()
        inside = probs > self.test_cfg.mask_thr_binary
        quality = (probs * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        scores = things.scores * quality
        order = scores.argsort(descending=True, stable=True)[: self.test_cfg.max_per_img]
        order = order[scores[order] >= self.test_cfg.score_thr]
        return InstanceData(probs=probs[order], labels=things.labels[order], scores=scores[order])

    def _place_things(
        self, things: InstanceData, img_shape: tuple, out_shape: tuple
    ) -> tuple[Tensor, Tensor | None]:
        """(H, W) number of the thing on each pixel, and the masks if ``instance_on``."""
        masks = None
        if self.test_cfg.instance_on:
            masks = things.probs.new_empty(len(things), *out_shape, dtype=torch.bool)
        instance = things.probs.new_zeros(out_shape, dtype=torch.int16)
        for rows, part in resize_masks(things.probs, img_shape, out_shape):
            part = part > self.test_cfg.mask_thr_binary
            if masks is not None:
                masks[rows] = part
            self._take_free_pixels(instance, part, things.scores[rows], rows.start)
        return instance, masks

    def _take_free_pixels(
        self, instance: Tensor, masks: Tensor, scores: Tensor, first: int
    ) -> None:
        """Give things, in score order, the pixels that no better one has taken.

        Args:
            instance: (H, W), changed in place: 0 is free, i + 1 the i-th thing.
            masks: (n, H, W) bool.
            scores: (n,) of these things.
            first: number of the first of them.
        """
        for i, (mask, score) in enumerate(zip(masks, scores, strict=True), start=first):
            free = mask & (instance == 0)
            # integers: "more than half is taken" must not depend on rounding
            taken = mask.sum() - free.sum()
            fits = (score >= self.test_cfg.panoptic_score_thr) & (
                taken <= self.test_cfg.mask_overlap * mask.sum()
            )
            instance.masked_fill_(free & fits, i + 1)

    def _semantic_map(self, regions: InstanceData, img_shape: tuple, out_shape: tuple) -> Tensor:
        """(H, W) label of the most probable region class; T + S where there is none."""
        probs = regions.mask_logits.sigmoid()
        best = probs.new_zeros(out_shape)
        sem_seg = best.new_full(out_shape, self.num_classes, dtype=torch.int16)
        for rows, part in resize_masks(probs, img_shape, out_shape):
            for label, prob in zip(regions.labels[rows].tolist(), part, strict=True):
                sem_seg.masked_fill_(prob > best, label)
                torch.maximum(best, prob, out=best)
        return sem_seg

    def _merge(
        self, instance: Tensor, things: InstanceData, sem_seg: Tensor, regions: InstanceData
    ) -> PixelData:
        """Things, then stuff that is large enough on the free part."""
        areas = torch.bincount(instance.flatten(), minlength=len(things) + 1)[1:]
        free = sem_seg.where(instance == 0, self.num_classes)
        stuff_areas = torch.bincount(free.flatten(), minlength=self.num_classes + 1)
        is_segment = stuff_areas >= self.test_cfg.stuff_area_limit
        is_segment[: self.num_things_classes] = False
        is_segment[self.num_classes] = False

        numbers = (areas > 0).cumsum(0)  # instances that got pixels are numbered from 1
        thing_ids = things.labels + numbers * INSTANCE_OFFSET
        labels = torch.arange(self.num_classes + 1, device=areas.device)
        stuff_ids = labels.where(is_segment, self.num_classes)
        # one table for both: a thing is looked up behind the labels of stuff
        ids = torch.cat([stuff_ids, thing_ids])
        panoptic = look_up(ids.int(), free.where(instance == 0, instance + self.num_classes))
        segments = [
            dict(id=id_, label=label, isthing=True, score=score, area=area)
            for id_, label, score, area in zip(
                *(x.tolist() for x in (thing_ids, things.labels, things.scores, areas)),
                strict=True,
            )
            if area
        ]
        is_segment, stuff_areas = is_segment.tolist(), stuff_areas.tolist()
        segments += [
            dict(id=label, label=label, isthing=False, score=score, area=stuff_areas[label])
            for label, score in sorted(
                zip(regions.labels.tolist(), regions.scores.tolist(), strict=True)
            )
            if is_segment[label]
        ]
        result = PixelData(sem_seg=panoptic[None])
        result.set_metainfo(dict(segments_info=segments))
        return result


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]`` for an (H, W) index, a band of rows at a time: PyTorch's index is int64."""
    rows = max(CHUNK_PIXELS // max(index.shape[1], 1), 1)
    return torch.cat([table[band.long()] for band in index.split(rows)])


def resize_masks(
    probs: Tensor, img_shape: tuple, out_shape: tuple
) -> Iterator[tuple[slice, Tensor]]:
    """Probabilities at stride 4 of the padded input to the output size, a bounded chunk at a time.

    Bilinear x 4, cut to the image, bilinear to the output: the published order of operations.

    Args:
        probs: (K, H/4, W/4) in [0, 1].
        img_shape: (H, W) of the network's input without padding.
        out_shape: (H, W) of the result.

    Yields:
        Rows of ``probs`` and their (n, H, W) probabilities, ``CHUNK_PIXELS`` at most.
    """
    pixels = max(16 * probs.shape[-2] * probs.shape[-1], out_shape[0] * out_shape[1])
    step = max(CHUNK_PIXELS // pixels, 1)
    for start in range(0, len(probs), step):
        rows = slice(start, start + step)
        part = F.interpolate(
            probs[rows, None], scale_factor=4, mode='bilinear', align_corners=False
        )
        part = part[..., : img_shape[0], : img_shape[1]]
        part = F.interpolate(part, size=out_shape, mode='bilinear', align_corners=False)
        yield rows, part[:, 0]
