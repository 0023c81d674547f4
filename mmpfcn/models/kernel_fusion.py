"""The paper's kernel fusion: kernels that mean the same object or class become one."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmengine.structures import InstanceData


@MODELS.register_module()
class KernelFusion(BaseModule):
    """Average kernels of the same class, for things only those that point the same way.

    With L[i, j] = "j is not before i, has its class and is similar" and C the running count of L
    down the rows, a kernel j is dropped when C[j, j] > 1 (an earlier one took it, even one that was
    itself dropped), and a kept kernel i averages the j with L[i, j] and C[i, j] = 1: it is averaged
    into the first that took it, if that one was kept. So in a chain u ~ v ~ w with u !~ w, v joins
    u and w is lost. It has no parameters.
    """

    def forward(self, kernels: InstanceData, similarity_thr: float | None = None) -> InstanceData:
        """Fuse the kernels of one image.

        Args:
            kernels: ``kernels`` (K, E), ``labels`` (K,) and ``scores`` (K,); things best first.
            similarity_thr: least cosine similarity of kernels that become one. None joins all
                kernels of a class, which is the rule for stuff.

        Returns:
            The fused kernels in the order of their first members. Scores are the first member's,
            or the group's mean without ``similarity_thr``.
        """
        x, labels = kernels.kernels, kernels.labels
        related = labels[:, None] == labels
        if similarity_thr is not None:
            direction = F.normalize(x, dim=1)
            related &= direction @ direction.T >= similarity_thr
        related = related.triu().fill_diagonal_(True)  # a zero kernel is still similar to itself
        taken = related.cumsum(0)
        keep = (taken.diagonal() == 1).nonzero()[:, 0]
        members = (related & (taken == 1))[keep].to(x.dtype)
        members = members / members.sum(1, keepdim=True)
        return InstanceData(
            kernels=members @ x,
            labels=labels[keep],
            scores=kernels.scores[keep] if similarity_thr is not None else members @ kernels.scores,
        )
