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
        kernels: list[InstanceData],
        mask_logits: list[Tensor],
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> list[dict]:
        """Results of every image.

        Args:
            kernels: per image ``labels`` (K,) and ``scores`` (K,); "any thing" is T + S.
            mask_logits: per image (K, H/4, W/4).
            batch_data_samples: with ``img_shape`` and ``ori_shape``.
            rescale: results in ``ori_shape`` (else in ``img_shape``).

        Returns:
            Per image a dict with, as far as ``test_cfg`` asks for them:

            - ``pan_results``: PixelData, ``sem_seg`` (1, H, W) int32 of ``label + instance *
              INSTANCE_OFFSET``, void T + S. Its metainfo ``segments_info`` has a dict for each
              segment: ``id`` in the map, ``label``, ``isthing``, ``score``, ``area`` in pixels.
            - ``ins_results``: InstanceData, best first: ``masks`` (n, H, W) bool, ``bboxes`` (n, 4)
              around the masks, ``labels``, ``scores``.
            - ``sem_results``: PixelData, ``sem_seg`` (1, H, W) int64: stuff labels, and T + S
              where "any thing" or nothing is best.
        """
        return [
            self._predict_single(k, logits.sigmoid(), sample, rescale)
            for k, logits, sample in zip(kernels, mask_logits, batch_data_samples, strict=True)
        ]

    def _predict_single(
        self, kernels: InstanceData, probs: Tensor, sample: DetDataSample, rescale: bool
    ) -> dict:
        is_thing = kernels.labels < self.num_things_classes
        img_shape = sample.img_shape[:2]
        out_shape = sample.ori_shape[:2] if rescale else img_shape
        things = self._instances(kernels[is_thing], probs[is_thing], img_shape, out_shape)
        sem_seg = self._semantic_map(kernels[~is_thing], probs[~is_thing], img_shape, out_shape)
        results = {}
        if self.test_cfg.panoptic_on:
            results['pan_results'] = self._merge(things, sem_seg, kernels[~is_thing])
        if self.test_cfg.instance_on:
            results['ins_results'] = things
        if self.test_cfg.semantic_on:
            results['sem_results'] = PixelData(sem_seg=sem_seg[None])
        return results

    def _instances(
        self, kernels: InstanceData, probs: Tensor, img_shape: tuple, out_shape: tuple
    ) -> InstanceData:
        """Rescore by the mean probability inside the mask, keep the best, resize."""
        thr = self.test_cfg.mask_thr_binary
        inside = probs > thr
        quality = (probs * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        scores = kernels.scores * quality
        order = scores.argsort(descending=True, stable=True)[: self.test_cfg.max_per_img]
        order = order[scores[order] >= self.test_cfg.score_thr]
        masks = probs.new_empty(len(order), *out_shape, dtype=torch.bool)
        for rows, part in resize_masks(probs[order], img_shape, out_shape):
            masks[rows] = part > thr
        return InstanceData(
            masks=masks,
            bboxes=mask2bbox(masks),
            labels=kernels.labels[order],
            scores=scores[order],
        )

    def _semantic_map(
        self, kernels: InstanceData, probs: Tensor, img_shape: tuple, out_shape: tuple
    ) -> Tensor:
        """(H, W) label of the most probable region class; T + S where there is none."""
        best = probs.new_zeros(out_shape)
        labels = torch.full(out_shape, self.num_classes, device=probs.device)
        for rows, part in resize_masks(probs, img_shape, out_shape):
            part_best, index = part.max(0)
            labels = kernels.labels[rows][index].where(part_best > best, labels)
            best = torch.maximum(best, part_best)
        return labels

    def _merge(self, things: InstanceData, sem_seg: Tensor, stuff: InstanceData) -> PixelData:
        """Things in score order on the free part, then large enough stuff."""
        cfg = self.test_cfg
        instance = torch.zeros_like(sem_seg)  # 0 is free, i + 1 the i-th thing
        for i, (mask, score) in enumerate(zip(things.masks, things.scores, strict=True)):
            free = mask & (instance == 0)
            # integers: "more than half is taken" must not depend on rounding
            taken = mask.sum() - free.sum()
            fits = (score >= cfg.panoptic_score_thr) & (taken <= cfg.mask_overlap * mask.sum())
            instance = instance.masked_fill(free & fits, i + 1)
        areas = torch.bincount(instance.flatten(), minlength=len(things) + 1)[1:]
        sem_seg = sem_seg.where(instance == 0, self.num_classes)
        stuff_areas = torch.bincount(sem_seg.flatten(), minlength=self.num_classes + 1)
        small = stuff_areas < cfg.stuff_area_limit
        sem_seg = sem_seg.masked_fill(small[sem_seg], self.num_classes)

        numbers = (areas > 0).cumsum(0)  # instances that got pixels are numbered from 1
        ids = torch.cat([areas.new_zeros(1), things.labels + numbers * INSTANCE_OFFSET])
        panoptic = ids[instance].where(instance > 0, sem_seg)
        segments = [
            dict(id=id_, label=label, isthing=True, score=score, area=area)
            for id_, label, score, area in zip(
                ids[1:].tolist(), things.labels.tolist(), things.scores.tolist(), areas.tolist(),
                strict=True,
            )
            if area
        ]  # fmt: skip
        stuff_areas = stuff_areas.where(~small, 0).tolist()
        segments += [
            dict(id=label, label=label, isthing=False, score=score, area=stuff_areas[label])
            for label, score in sorted(
                zip(stuff.labels.tolist(), stuff.scores.tolist(), strict=True)
            )
            if label != self.num_classes and stuff_areas[label]
        ]
        result = PixelData(sem_seg=panoptic[None].int())
        result.set_metainfo(dict(segments_info=segments))
        return result


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
