"""The part of the model that becomes a graph: from an image to embedded kernels and mask_feats."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmpfcn.models.kernel_update import KernelUpdate
from mmpfcn.models.sampling import Peaks, gather_kernels, level_peaks, peak_scores, pool_regions
from mmpfcn.structures import LevelMaps


class GraphOutput(NamedTuple):
    """What the graph gives for N images; all that has a shape known before the image is seen.

    K is (levels) x ``peaks_per_level`` candidates of objects, Q (levels) x R region classes, the
    finest level first. Thresholds, fusion and masks follow (``postprocessing.py``).
    """

    thing_scores: Tensor  # (N, K) in [0, 1]; 0 where there is no peak
    thing_labels: Tensor  # (N, K) int64; meaningless where the score is 0
    thing_kernels: Tensor  # (N, K, E)
    region_scores: Tensor  # (N, Q) in [0, 1]
    region_kernels: Tensor  # (N, Q, E)
    mask_feats: Tensor  # (N, E, H/4, W/4)


class ExportNetwork(nn.Module):
    """Backbone, neck, heads, peaks, pooled regions and embeddings of a :class:`PanopticFCN`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.settings = model.panoptic_head.test_cfg

    def forward(self, image: Tensor) -> GraphOutput:
        """(N, C, H, W), normalised and padded to multiples of 32."""
        return self.find_kernels(*self.model.panoptic_head(self.model.extract_feat(image)))

    def find_kernels(self, levels: list[LevelMaps], mask_feats: Tensor) -> GraphOutput:
        """From the maps of P3..P7 to embedded kernels."""
        peaks = level_peaks(levels, self.settings, find_padded_peaks)
        things = [
            gather_kernels(level.kernels, p.cells) for level, p in zip(levels, peaks, strict=True)
        ]
        scores, regions = zip(*(pool_regions(x.regions, x.kernels) for x in levels), strict=True)
        generator = self.model.panoptic_head.kernel_generator
        return GraphOutput(
            thing_scores=torch.cat([p.scores for p in peaks], 1),
            thing_labels=torch.cat([p.labels for p in peaks], 1),
            thing_kernels=generator.thing_embed(torch.cat(things, 1)),
            region_scores=torch.cat(scores, 1),
            region_kernels=generator.stuff_embed(torch.cat(regions, 1)),
            mask_feats=mask_feats,
        )


class UpdateNetwork(nn.Module):
    """The update of one image's fused kernels; see :meth:`KernelUpdate.predict`."""

    def __init__(self, update: KernelUpdate) -> None:
        super().__init__()
        self.update = update

    def forward(
        self, kernels: Tensor, labels: Tensor, scores: Tensor, mask_feats: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.update.predict(kernels, labels, scores, mask_feats)


def find_padded_peaks(center_logits: Tensor, pool_size: int, num_peaks: int) -> Peaks:
    """``find_peaks`` with exactly ``num_peaks`` candidates, also on a level of fewer cells.

    A graph can not ask how many cells there are before it asks for the best of them; so as many
    zeros are appended, and the labels of those that are taken are beyond the classes. As in
    ``find_peaks`` there are no more candidates than cells: the others have score 0.
    """
    p = peak_scores(center_logits, pool_size)
    num_cells = p.shape[-2] * p.shape[-1]
    scores, index = F.pad(p.flatten(1), (0, num_peaks)).topk(num_peaks)
    scores = scores * (torch.arange(num_peaks, device=p.device) < num_cells)
    labels = index // num_cells
    return Peaks(scores, labels, index - labels * num_cells)  # exporters stumble over %
