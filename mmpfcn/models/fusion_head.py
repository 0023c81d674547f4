"""All image geometry: mask logits to instances, a semantic map and the panoptic map."""

import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.models.seg_heads.panoptic_fusion_heads import BasePanopticFusionHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, SampleList
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ..ops.label_tiles import best_labels
from ..ops.mask_resizing import FullMasks, MaskResizer, spans_of
from .settings import InferenceSettings, read_settings

CHUNK_PIXELS = 2**22
"""Pixels held at a time where all of them need not be: 16 MiB in float32."""
CACHED_PIXELS = 2**18
"""The same where steps follow each other on a CPU: 1 MiB in float32, which stays in its cache."""

TOO_MANY = (
    'an image has more objects than test_cfg.max_per_img={0.max_per_img}: those of the lowest '
    'scores are left out. Raise max_per_img, or panoptic_score_thr'
)
"""What is said where the limit, not a threshold, decides what comes into the panoptic map."""


class MergeTrace(NamedTuple):
    """Everything between mask logits and results.

    Attributes:
        things: those that are left after rescoring, best first, with the fields that they came
            with but ``mask_logits``; ``places`` (n,) among those, and ``spans`` (n, 4), the rows
            and columns of the mask at stride 4, from the first to one past the last.
        instance: (H, W) int16, 0 where no thing is, i + 1 for the i-th.
        masks: of the things, if ``instance_on``.
        sem_seg: (H, W) int16, label of the best region.
    """

    things: InstanceData
    instance: Tensor
    masks: FullMasks | None
    sem_seg: Tensor


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
        self.test_cfg = read_settings(InferenceSettings, 'test_cfg', test_cfg)

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
            things: per image ``labels`` (K,), ``scores`` (K,), ``num_kernels`` (K,) and
                ``mask_logits`` (K, H/4, W/4).
            regions: likewise; labels of stuff, T + S for "any thing", or labels of things. Only
                regions of stuff become segments; where another one is best, pixels stay void
                unless an object takes them.
            batch_data_samples: with ``img_shape`` and ``ori_shape``.
            rescale: results in ``ori_shape`` (else in ``img_shape``).

        Returns:
            Per image a dict with, as far as ``test_cfg`` asks for them:

            - ``pan_results``: PixelData, ``sem_seg`` (1, H, W) int32 of ``label + instance *
              INSTANCE_OFFSET``, void T + S. Its metainfo ``segments_info`` has a dict for each
              segment: ``id`` in the map, ``label``, ``isthing``, ``score``, ``area`` in pixels and
              ``num_kernels``, how many kernels it was fused from. ``segment_kernels`` (n, E) of the
              metainfo are their kernels, None where those of the arguments lack them.
            - ``ins_results``: InstanceData, best first: ``masks`` (n, H, W) bool, ``bboxes`` (n, 4)
              around the masks, ``labels``, ``scores``.
            - ``sem_results``: PixelData, ``sem_seg`` (1, H, W) int16: the label of the best region,
              T + S where "any thing" or nothing is best.
        """
        results = []
        for image in zip(things, regions, batch_data_samples, strict=True):
            # mixed precision must not round the products of matrices that resize the masks
            with torch.autocast(image[0].mask_logits.device.type, enabled=False):
                results.append(self._predict_single(*image, rescale))
        return results

    def _predict_single(
        self, things: InstanceData, regions: InstanceData, sample: DetDataSample, rescale: bool
    ) -> dict:
        results = {}
        things, instance, masks, sem_seg = self.trace(things, regions, sample, rescale)
        if self.test_cfg.panoptic_on:
            results['pan_results'] = self._merge(instance, things, sem_seg, regions)
        if self.test_cfg.instance_on:
            results['ins_results'] = InstanceData(
                masks=masks.masks, bboxes=masks.bboxes(), labels=things.labels, scores=things.scores
            )
        if self.test_cfg.semantic_on:
            results['sem_results'] = PixelData(sem_seg=sem_seg[None])
        return results

    def trace(
        self,
        things: InstanceData,
        regions: InstanceData,
        sample: DetDataSample,
        rescale: bool = True,
    ) -> MergeTrace:
        """What results are made of, for one image; arguments as for :meth:`predict`."""
        img_shape, logits = sample.img_shape[:2], things.mask_logits
        out_shape = sample.ori_shape[:2] if rescale else img_shape
        resizer = MaskResizer(logits.shape[1:], img_shape, out_shape, logits.device)
        things = self._rescore(things)
        instance, masks = self._place_things(things, logits, resizer)
        return MergeTrace(things, instance, masks, self._semantic_map(regions, resizer))

    def _rescore(self, things: InstanceData) -> InstanceData:
        """Rescore by the mean probability inside the mask, keep the best; see `MergeTrace`."""
        logits = things.mask_logits
        held = CACHED_PIXELS if logits.device.type == 'cpu' else CHUNK_PIXELS
        parts = logits.split(max(held // logits.shape[1:].numel(), 1))
        quality, spans = (torch.cat(x) for x in zip(*map(self._inside, parts), strict=True))
        scores = things.scores * quality
        order, limit = scores.argsort(descending=True, stable=True), self.test_cfg.max_per_img
        if len(order) > limit:
            self._warn_of_lost(scores[order[limit]].item())
        order = order[:limit]
        order = order[scores[order] >= self.test_cfg.score_thr]
        # not the masks, which are gigabytes where there are thousands
        things = InstanceData(**{k: v for k, v in things.items() if k != 'mask_logits'})[order]
        things.scores, things.spans, things.places = scores[order], spans[order], order
        return things

    def _warn_of_lost(self, best: float) -> None:
        """Say it where the best of those left out would come into the panoptic map."""
        if best >= max(self.test_cfg.score_thr, self.test_cfg.panoptic_score_thr):
            warnings.warn(TOO_MANY.format(self.test_cfg), stacklevel=2)

    def _inside(self, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Mean probability inside of masks (n, H/4, W/4), (n,), and their spans (n, 4)."""
        inside = F.threshold(mask_logits.float().sigmoid(), self.test_cfg.mask_thr_binary, 0)
        mean = inside.sum((1, 2)) / inside.sign().sum((1, 2)).clamp(min=1)
        return mean, spans_of(inside)

    def _place_things(
        self, things: InstanceData, mask_logits: Tensor, resizer: MaskResizer
    ) -> tuple[Tensor, FullMasks | None]:
        """(H, W) number of the thing on each pixel, and the masks if ``instance_on``."""
        shape, device = resizer.out_shape, mask_logits.device
        instance = torch.zeros(shape, dtype=torch.int16, device=device)
        masks = FullMasks(len(things), shape, device) if self.test_cfg.instance_on else None
        spans = torch.cat([things.places[:, None], things.spans], 1).tolist()
        for i, (place, *span) in enumerate(spans):
            box, prob = resizer.box(*span), mask_logits[place].float().sigmoid()
            mask = resizer.exceeds(prob, *box, self.test_cfg.mask_thr_binary)
            if masks is not None:
                masks.add(i, mask, *box)
            self._take_free_pixels(instance[box], mask[None], things.scores[i : i + 1], i)
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
            area = mask.count_nonzero()
            taken = area - free.count_nonzero()
            scores_enough = score >= self.test_cfg.panoptic_score_thr
            fits = taken <= self.test_cfg.mask_overlap * area
            instance.add_(free & (scores_enough & fits), alpha=i + 1)

    def _semantic_map(self, regions: InstanceData, resizer: MaskResizer) -> Tensor:
        """(H, W) label of the most probable region class; T + S where there is none."""
        none = regions.labels.new_full((1,), self.num_classes)
        labels = torch.cat([none, regions.labels]).short()
        probs = regions.mask_logits.float().sigmoid()
        probs = F.pad(probs, (0, 0, 0, 0, 1, 0))  # the map of "none": 0 everywhere
        return best_labels(probs, labels, resizer)

    def _merge(
        self, instance: Tensor, things: InstanceData, sem_seg: Tensor, regions: InstanceData
    ) -> PixelData:
        """Things, then stuff that is large enough on the free part."""
        void = self.num_classes
        # one number for both: labels on the free part, behind them the things
        numbers = torch.where(instance == 0, sem_seg, instance + void)
        areas = torch.bincount(numbers.flatten(), minlength=void + 1 + len(things)).tolist()
        ids, segments, rows = [void] * len(areas), [], []
        for row, thing in enumerate(_rows(things)):
            area = areas[void + 1 + row]
            if area:
                ids[void + 1 + row] = thing['label'] + (len(segments) + 1) * INSTANCE_OFFSET
                segments.append(dict(id=ids[void + 1 + row], isthing=True, area=area, **thing))
                rows.append(row)
        stuff = sorted(enumerate(_rows(regions), len(things)), key=lambda x: x[1]['label'])
        for row, region in stuff:
            label = region['label']
            is_stuff = self.num_things_classes <= label < void
            if is_stuff and areas[label] >= max(self.test_cfg.stuff_area_limit, 1):
                ids[label] = label
                segments.append(dict(id=label, isthing=False, area=areas[label], **region))
                rows.append(row)
        table = torch.tensor(ids, dtype=torch.int32, device=numbers.device)
        result = PixelData(sem_seg=look_up(table, numbers)[None])
        kernels = None
        if 'kernels' in things and 'kernels' in regions:
            kernels = torch.cat([things.kernels, regions.kernels])[rows]
        result.set_metainfo(dict(segments_info=segments, segment_kernels=kernels))
        return result


def _rows(kernels: InstanceData) -> list[dict]:
    """``label``, ``score`` and ``num_kernels`` of each, after one wait for the device."""
    table = torch.stack([kernels.labels, kernels.scores, kernels.num_kernels])
    return [
        dict(label=int(label), score=score, num_kernels=int(number))
        for label, score, number in table.T.tolist()
    ]


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]`` for an (H, W) index, a band of rows at a time: PyTorch's index is int32."""
    rows = max(CHUNK_PIXELS // index.shape[1], 1)
    return torch.cat(
        [table.index_select(0, band.flatten().int()).view_as(band) for band in index.split(rows)]
    )
