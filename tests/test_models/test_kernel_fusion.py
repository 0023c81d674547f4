"""Kernel fusion by hand-made examples."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmpfcn import KernelFusion
from mmpfcn.deployment import postprocessing as numpy_version
from mmpfcn.models.kernel_fusion import draw_same_pixels


def fuse(kernels, labels, similarity_thr=0.9, scores=None, width=2):
    kernels = torch.tensor(kernels, dtype=torch.float32).reshape(len(labels), width)
    scores = torch.linspace(1, 0.1, len(labels)) if scores is None else torch.tensor(scores)
    data = InstanceData(kernels=kernels, labels=torch.tensor(labels), scores=scores)
    return KernelFusion()(data, similarity_thr)


def angle(degrees: float) -> list[float]:
    radians = torch.tensor(degrees).deg2rad()
    return [radians.cos().item(), radians.sin().item()]


def test_similar_kernels_of_a_class_are_averaged():
    out = fuse([[2, 0], [4, 0], [0, 1]], [3, 3, 3])
    assert out.kernels.tolist() == [[3, 0], [0, 1]]
    assert out.labels.tolist() == [3, 3]
    assert out.num_kernels.tolist() == [2, 1]
    assert out.scores.tolist() == pytest.approx([1, 0.1])
    assert len(fuse([[1, 0], [1, 0]], [0, 1])) == 2
    out = fuse([[1, 0], [0, 2], [5, 5], [-1, 0]], [7, 7, 2, 7], None, [0.9, 0.6, 0.5, 0.3])
    assert out.labels.tolist() == [7, 2]
    assert out.kernels.tolist() == [pytest.approx([0, 2 / 3]), [5, 5]]
    assert out.scores.tolist() == pytest.approx([0.6, 0.5])


def test_chains():
    """u ~ v ~ w, u !~ w (cosines 0.94, 0.94, 0.77): w is neither kept nor averaged."""
    out = fuse([angle(0), angle(20), angle(40)], [0, 0, 0])
    expected = [(a + b) / 2 for a, b in zip(angle(0), angle(20), strict=True)]
    assert out.kernels.tolist() == [pytest.approx(expected)]
    assert out.num_kernels.tolist() == [2]
    out = fuse([angle(0), angle(40), angle(20)], [0, 0, 0])  # the last is similar to both others
    assert out.kernels.tolist() == [pytest.approx(expected), pytest.approx(angle(40))]


def test_no_kernel_zero_kernel_and_gradients():
    assert len(fuse([], [], None)) == 0
    out = fuse([], [])
    assert (len(out), out.kernels.shape) == (0, (0, 2))
    out = fuse([[0, 0], [0, 0], [1, 0]], [1, 1, 1])
    assert out.kernels.isfinite().all() and len(out) == 3
    kernels = torch.eye(3).repeat(2, 1).requires_grad_()
    data = InstanceData(kernels=kernels, labels=torch.zeros(6).long(), scores=torch.ones(6))
    KernelFusion()(data, 0.9).kernels.sum().backward()
    assert kernels.grad.eq(0.5).all()


@pytest.mark.parametrize('similarity_thr', [0.9, None])
def test_fusing_distinct_kernels_twice_changes_nothing(similarity_thr):
    once = fuse(torch.randn(12, 8).tolist(), [0, 1, 2] * 4, similarity_thr, width=8)
    twice = KernelFusion()(once, similarity_thr)
    torch.testing.assert_close(twice.kernels, once.kernels)


def test_look_alikes_that_draw_other_pixels_stay_apart():
    """Kernels 0 and 1 draw the left half, 2 the right one; all point nearly the same way."""
    place = torch.tensor([-1.0, -1.0, 1.0, 1.0]).expand(2, 4)
    mask_feats = torch.stack([torch.ones(2, 4), place])  # (2, 2, 4)
    kernels = torch.tensor([[0.1, -1], [0.2, -1], [0.1, 1], [-5, 0]]) + torch.tensor([0, 1e-3])
    data = InstanceData(
        kernels=kernels, labels=torch.zeros(4, dtype=int), scores=torch.tensor([0.9, 0.8, 0.7, 0.6])
    )
    same = draw_same_pixels(kernels, mask_feats, 0.5)
    assert same.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    fused = KernelFusion()(data, -1.0, same)
    assert fused.num_kernels.tolist() == [2, 1, 1]
    arrays = numpy_version.Kernels(*(x.numpy() for x in (kernels, data.labels, data.scores, same)))
    other = numpy_version.draw_same_pixels(arrays.kernels, mask_feats.numpy(), 0.5)
    assert (other == same.numpy()).all()
    assert numpy_version.fuse(arrays, -1.0, other).num_kernels.tolist() == [2, 1, 1]


@pytest.mark.parametrize('iou_thr', [1 / 3 - 1e-3, 1 / 3 + 1e-3])
def test_the_threshold_is_intersection_over_union(iou_thr):
    mask_feats = torch.eye(3)[:, None]  # channel i is pixel i
    kernels = torch.tensor([[1.0, 1, -1], [-1, 1, 1]])  # one pixel in common of three
    assert draw_same_pixels(kernels, mask_feats, iou_thr)[0, 1] == (iou_thr < 1 / 3)
