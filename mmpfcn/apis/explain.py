"""Follow every kernel of an image from the network's maps to the panoptic map.

Each step is run by the code of inference, with the thresholds and without one of them: what only
the second run lets through is what the threshold drops. What the merge drops is seen in its map.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..models.fusion_head import MergeTrace
from ..models.kernel_fusion import KernelGroups, draw_same_pixels
from ..models.layers import convolve
from ..models.sampling import level_peaks, pool_regions
from ..structures import LevelMaps, NetworkOutput
from .explanation import Candidate, Explanation, Kernel, Outcome
from .panoptic_inferencer import PanopticInferencer
from .panoptic_result import PanopticResult


@torch.no_grad()
def explain(
    inferencer: PanopticInferencer, output: NetworkOutput, **thresholds: Any
) -> Explanation:
    """Explain the segmentation of one image.

    Args:
        inferencer: that made the output by ``run_network``.
        output: of that.
        **thresholds: see :meth:`PanopticInferencer.finish`, which raises ValueError for others.
    """
    case = _Case(inferencer, output, thresholds)
    head, _ = case.heads()
    result = inferencer.finish(output, **thresholds)
    fused = tuple(image for (image,) in head.predict_by_feat(output.levels, output.mask_feats))
    things, stuff = (case.kernels(*x) for x in zip(fused, 'ts', strict=True))
    at_peaks, of_regions = find_kernels(head, case.levels)
    peaks, regions = case.peaks(at_peaks), case.regions(of_regions)
    fusion, cfg, mask_feats = head.kernel_fusion, head.test_cfg, output.mask_feats[0].float()
    same_pixels = draw_same_pixels(at_peaks.kernels, mask_feats, cfg.fusion_iou_thr)
    related = fusion.related(at_peaks, cfg.similarity_thr, same_pixels)
    _join(case.reach_fusion(peaks, at_peaks), things, related, fusion.group(related), at_peaks)
    related = fusion.related(of_regions)
    _join(case.reach_fusion(regions, of_regions), stuff, related, fusion.group(related), of_regions)
    trace = _follow_things(case, fused, things, result)
    _follow_stuff(case, stuff, trace, result)
    outcomes = {kernel.key: kernel.outcome for kernel in [*things, *stuff]}
    for candidate in [*peaks, *regions]:
        candidate.outcome = outcomes.get(candidate.kernel, candidate.outcome)
    return Explanation(output, head.test_cfg, result, [*peaks, *regions], [*things, *stuff])


def find_kernels(head: nn.Module, levels: Sequence[LevelMaps]) -> tuple[InstanceData, InstanceData]:
    """Kernels of one image before fusion, and where they are from.

    Args:
        head: a :class:`PanopticFCNHead`.
        levels: maps of P3..P7, of a batch of one.

    Returns:
        Its ``thing_kernels`` and ``region_kernels``, with ``levels`` (K,) int64, 0 for P3, and of
        things ``cells`` (K,) int64, ``row * w + column``.
    """
    things, regions = head.thing_kernels(levels)[0], head.region_kernels(levels)[0]
    peaks = level_peaks(levels, head.test_cfg)
    scores, _, cells = (torch.cat(parts, 1)[0] for parts in zip(*peaks, strict=True))
    numbers = torch.cat([torch.full_like(x.cells[0], i) for i, x in enumerate(peaks)])
    order = scores.argsort(descending=True, stable=True)[: len(things)]
    things.cells, things.levels = cells[order], numbers[order]
    scores = torch.cat([pool_regions(x.regions, x.kernels)[0] for x in levels])  # (levels, R)
    regions.levels = (scores > head.test_cfg.region_thr).nonzero()[:, 0]
    return things, regions


class _Case:
    """One image with its model and thresholds."""

    def __init__(
        self, inferencer: PanopticInferencer, output: NetworkOutput, thresholds: dict[str, Any]
    ) -> None:
        self._inferencer, self.output, self._thresholds = inferencer, output, thresholds
        self.levels = [maps.float() for maps in output.levels]
        self.names = [*inferencer.dataset_meta['classes'], 'any thing']  # by label

    def heads(self, **changes: Any) -> tuple[nn.Module, nn.Module]:
        return self._inferencer.heads({**self._thresholds, **changes})

    def trace(self, fused: tuple[InstanceData, InstanceData], **changes: Any) -> MergeTrace:
        """With ``rows``, the number of each thing among the fused ones."""
        things, regions = fused
        things.rows = torch.arange(len(things), device=things.scores.device)
        _, fusion_head = self.heads(instance_on=True, **changes)
        return fusion_head.trace(things, regions, self.output.data_sample)

    def peaks(self, kept: InstanceData) -> list[Candidate]:
        """Best first; those at the end, which are not kept, do not exceed ``center_thr``."""
        peaks = find_kernels(self.heads(center_thr=0.0)[0], self.levels)[0]
        candidates = self._candidates(peaks, 'p')
        for candidate, cell in zip(candidates, peaks.cells.tolist(), strict=True):
            candidate.cell = divmod(cell, self.levels[candidate.level].centers.shape[-1])
        for candidate in candidates[len(kept) :]:
            candidate.outcome = Outcome.CENTER_THR
        return candidates

    def regions(self, kept: InstanceData) -> list[Candidate]:
        """Every class that is the best of a cell, level by level."""
        kept = set(zip(kept.levels.tolist(), kept.labels.tolist(), strict=True))
        head, _ = self.heads(region_thr=0.0)
        best = [level.regions[0].argmax(0) for level in self.levels]
        candidates = self._candidates(find_kernels(head, self.levels)[1], 'r')
        for candidate in candidates:
            channel = head.region_labels.index(candidate.label)
            candidate.num_cells = int((best[candidate.level] == channel).sum())
            if (candidate.level, candidate.label) not in kept:
                candidate.outcome = Outcome.REGION_THR
        return candidates

    def _candidates(self, kernels: InstanceData, letter: str) -> list[Candidate]:
        columns = (x.tolist() for x in (kernels.labels, kernels.scores, kernels.levels))
        return [
            Candidate(f'{letter}{i}', letter == 'p', label, self.names[label], score, level)
            for i, (label, score, level) in enumerate(zip(*columns, strict=True), 1)
        ]

    def reach_fusion(self, candidates: list[Candidate], kernels: InstanceData) -> list[Candidate]:
        """Those that no threshold dropped, which are the kernels, with their masks."""
        kept = [candidate for candidate in candidates if candidate.outcome is Outcome.SEGMENT]
        logits = convolve(kernels.kernels, self.output.mask_feats[0].float())
        for candidate, prob in zip(kept, self._probs(logits), strict=True):
            candidate.prob = prob
        return kept

    def kernels(self, fused: InstanceData, letter: str) -> list[Kernel]:
        columns = fused.labels.tolist(), fused.scores.tolist(), self._probs(fused.mask_logits)
        return [
            Kernel(f'{letter}{i}', letter == 't', label, self.names[label], [], score, prob)
            for i, (label, score, prob) in enumerate(zip(*columns, strict=True), 1)
        ]

    def _probs(self, mask_logits: Tensor) -> np.ndarray:
        h, w = (-(-side // 4) for side in self.output.data_sample.img_shape[:2])
        return mask_logits[:, :h, :w].sigmoid().half().cpu().numpy()


def _join(
    candidates: Sequence[Candidate],
    fused: Sequence[Kernel],
    related: Tensor,
    groups: KernelGroups,
    kernels: InstanceData,
) -> None:
    """Note which candidates make which kernel."""
    direction = F.normalize(kernels.kernels, dim=1)
    cosines = direction @ direction.T
    for kernel, members in zip(fused, groups.members.tolist(), strict=True):
        for candidate, is_member in zip(candidates, members, strict=True):
            if is_member:
                kernel.members.append(candidate.key)
                candidate.kernel = kernel.key
    for i, candidate in enumerate(candidates):
        taker = int(related[:, i].byte().argmax())  # the first
        if taker != i:
            candidate.taken_by = candidates[taker].key
            candidate.similarity = cosines[taker, i].item() if candidate.isthing else None
        if candidate.kernel is None:
            candidate.outcome = Outcome.LOST


def _follow_things(
    case: _Case, fused: tuple, kernels: Sequence[Kernel], result: PanopticResult
) -> MergeTrace:
    """Note the scores, areas and outcomes of the things."""
    everything = case.trace(fused, score_thr=0.0, max_per_img=len(kernels)).things
    for row, score in zip(everything.rows.tolist(), everything.scores.tolist(), strict=True):
        kernels[row].rescored, kernels[row].outcome = score, Outcome.MAX_PER_IMG
    for row in case.trace(fused, score_thr=0.0).things.rows.tolist():
        kernels[row].outcome = Outcome.SCORE_THR
    trace, settings = case.trace(fused), case.heads()[1].test_cfg
    ranked = [kernels[row] for row in trace.things.rows.tolist()]
    scores_enough = (trace.things.scores >= settings.panoptic_score_thr).tolist()
    for rank, (kernel, mask) in enumerate(zip(ranked, trace.masks.masks, strict=True)):
        kernel.area = int(mask.sum())
        # who has a pixel keeps it, so the finished map shows what better things had before
        owners = torch.bincount(trace.instance[mask], minlength=rank + 1)
        owners = zip(ranked[:rank], owners[1 : rank + 1].tolist(), strict=True)
        taken = [(other.key, pixels) for other, pixels in owners if pixels]
        kernel.taken_by = sorted(taken, key=lambda item: -item[1])
        own = (trace.instance == rank + 1).cpu().numpy()
        kernel.visible = int(own.sum())
        if not scores_enough[rank]:
            kernel.outcome = Outcome.PANOPTIC_SCORE
        elif not kernel.area:
            kernel.outcome = Outcome.EMPTY
        elif kernel.visible:
            kernel.outcome, kernel.segment_id = Outcome.SEGMENT, int(result.panoptic_seg[own][0])
        else:
            overlap = kernel.taken < kernel.area or settings.mask_overlap < 1
            kernel.outcome = Outcome.OVERLAP if overlap else Outcome.COVERED
    return trace


def _follow_stuff(
    case: _Case, kernels: Sequence[Kernel], trace: MergeTrace, result: PanopticResult
) -> None:
    """Note the areas and outcomes of the regions."""
    _, head = case.heads()
    segments = {s['label']: s for s in result.segments_info if not s['isthing']}
    free = torch.bincount(trace.sem_seg[trace.instance == 0], minlength=len(case.names)).tolist()
    for kernel in kernels:
        kernel.area = free[kernel.label]
        if kernel.label in segments:
            segment = segments[kernel.label]
            kernel.segment_id, kernel.visible = segment['id'], segment['area']
        else:
            is_stuff = head.num_things_classes <= kernel.label < head.num_classes
            kernel.outcome = Outcome.STUFF_AREA if is_stuff else Outcome.NO_STUFF
