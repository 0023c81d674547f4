"""The paper's kernel fusion: kernels that mean the same object or class become one."""

import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

CHUNK_PIXELS = 2**22
"""Pixels of the masks that are drawn at a time: 16 MiB in float32."""


class KernelGroups(NamedTuple):
    """K' groups of the K kernels of an image; a kernel in none of them is lost.

    Attributes:
        first: (K',) int64, the kernel that each group begins with and takes its class from.
        members: (K', K) bool.
    """

    first: Tensor
    members: Tensor


@MODELS.register_module()
class KernelFusion(BaseModule):
    """Average kernels of the same class, for things only those that point the same way.

    With L[i, j] = "j is not before i, has its class and is similar" and C the running count of L
    down the rows, a kernel j is dropped when C[j, j] > 1 (an earlier one took it, even one that was
    itself dropped), and a kept kernel i averages the j with L[i, j] and C[i, j] = 1: it is averaged
    into the first that took it, if that one was kept. So in a chain u ~ v ~ w with u !~ w, v joins
    u and w is lost. It has no parameters.
    """

    def forward(
        self,
        kernels: InstanceData,
        similarity_thr: float | None = None,
        same_pixels: Tensor | None = None,
    ) -> InstanceData:
        """Fuse the kernels of one image.

        Args:
            kernels: ``kernels`` (K, E), ``labels`` (K,) and ``scores`` (K,); things best first.
            similarity_thr: least cosine similarity of kernels that become one. None joins all
                kernels of a class, which is the rule for stuff.
            same_pixels: (K, K) bool, see :func:`draw_same_pixels`; only such kernels become one.

        Returns:
            The fused kernels in the order of their first members, with ``num_kernels`` (K',) int64,
            how many each was made of. Scores are the first member's, or the group's mean without
            ``similarity_thr``.
        """
        groups = self.group(self.related(kernels, similarity_thr, same_pixels))
        num_kernels = groups.members.sum(1)
        weights = groups.members.to(kernels.kernels.dtype) / num_kernels[:, None]
        scores = kernels.scores
        return InstanceData(
            kernels=weights @ kernels.kernels,
            labels=kernels.labels[groups.first],
            scores=weights @ scores if similarity_thr is None else scores[groups.first],
            num_kernels=num_kernels,
        )

    def related(
        self,
        kernels: InstanceData,
        similarity_thr: float | None = None,
        same_pixels: Tensor | None = None,
    ) -> Tensor:
        """L, (K, K) bool; arguments as for :meth:`forward`.

        The first row with a kernel is the one that took it.
        """
        x, labels = kernels.kernels, kernels.labels
        related = labels[:, None] == labels
        if similarity_thr is not None:
            direction = F.normalize(x, dim=1)
            related &= direction @ direction.T >= similarity_thr
        if same_pixels is not None:
            related &= same_pixels
        return related.triu().fill_diagonal_(True)  # a zero kernel is still similar to itself

    def group(self, related: Tensor) -> KernelGroups:
        """Which kernels become which fused one, from :meth:`related`."""
        taken = related.cumsum(0)
        keep = (taken.diagonal() == 1).nonzero()[:, 0]
        return KernelGroups(keep, (related & (taken == 1))[keep])


def draw_same_pixels(kernels: Tensor, mask_feats: Tensor, iou_thr: float | None) -> Tensor | None:
    """Whether the masks of two kernels overlap by ``iou_thr`` (intersection over union) or more.

    Args:
        kernels: (K, E).
        mask_feats: (E, h, w).

    Returns:
        (K, K) bool; False for kernels that draw nothing. None without ``iou_thr``.
    """
    if iou_thr is None:
        return None
    feats = mask_feats.flatten(1)
    # hundreds of small masks: mostly zeros, and all at a time would be gigabytes
    some = max(CHUNK_PIXELS // feats.shape[1], 1)
    masks = torch.cat([(x @ feats > 0).float().to_sparse() for x in kernels.split(some)])
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Sparse CSR tensor support is in beta')
        common = torch.sparse.mm(masks, masks.T).to_dense()  # (K, hw) x (hw, K) -> (K, K)
    areas = common.diagonal()
    return common >= iou_thr * (areas[:, None] + areas - common).clamp(min=1)
