"""The paper's kernel fusion in numpy; see ``mmpfcn/models/kernel_fusion.py`` for the rule."""

from typing import NamedTuple

import numpy as np


class Kernels(NamedTuple):
    """Kernels of one image."""

    kernels: np.ndarray  # (K, E) embedded
    labels: np.ndarray  # (K,) whole numbers
    scores: np.ndarray  # (K,) in [0, 1]
    num_kernels: np.ndarray  # (K,) of how many each was fused


def select(
    kernels: np.ndarray, labels: np.ndarray, scores: np.ndarray, keep: np.ndarray
) -> Kernels:
    """The kernels at the places ``keep`` (numbers or bools), each made of one."""
    return Kernels(kernels[keep], labels[keep], scores[keep], np.ones(len(labels[keep]), int))


def fuse(
    kernels: Kernels, similarity_thr: float | None = None, same_pixels: np.ndarray | None = None
) -> Kernels:
    """Average kernels of the same class that point the same way.

    Args:
        kernels: of one image; things best first.
        similarity_thr: least cosine similarity of kernels that become one. None joins all kernels
            of a class, which is the rule for stuff.
        same_pixels: (K, K) bool, see :func:`draw_same_pixels`; only such kernels become one.

    Returns:
        The fused kernels in the order of their first members. Scores are the first member's, or the
        group's mean without ``similarity_thr``.
    """
    x, labels, scores, _ = kernels
    related = labels[:, None] == labels
    if similarity_thr is not None:
        direction = x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-12)
        related &= direction @ direction.T >= similarity_thr
    if same_pixels is not None:
        related &= same_pixels
    related = np.triu(related)
    np.fill_diagonal(related, True)  # a zero kernel is still similar to itself
    taken = related.cumsum(0)
    (first,) = (taken.diagonal() == 1).nonzero()
    members = (related & (taken == 1))[first]
    num_kernels = members.sum(1)
    weights = (members / num_kernels[:, None]).astype(x.dtype)
    scores = weights @ scores if similarity_thr is None else scores[first]
    return Kernels(weights @ x, labels[first], scores, num_kernels)


def draw_same_pixels(kernels: np.ndarray, mask_feats: np.ndarray, iou_thr: float) -> np.ndarray:
    """Whether the masks of two kernels overlap by ``iou_thr`` (intersection over union) or more.

    (K, E) x (E, h, w) -> (K, K) bool; False for kernels that draw nothing.
    """
    masks = (kernels @ mask_feats.reshape(len(mask_feats), -1) > 0).astype(np.float32)
    common, areas = masks @ masks.T, masks.sum(1)
    return common >= iou_thr * (areas[:, None] + areas - common).clip(min=1)
