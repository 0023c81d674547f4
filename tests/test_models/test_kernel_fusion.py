"""Kernel fusion by hand-made examples."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmpfcn import KernelFusion


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
    expected = [(a + b) / 2 for a, b in zip(angle(0), angle(20), strict=True)]
    assert out.kernels.tolist() == [pytest.approx(expected), pytest.approx(angle(40))]


def test_no_kernel_and_zero_kernel():
    assert len(fuse([], [], None)) == 0
    out = fuse([], [])
    assert (len(out), out.kernels.shape) == (0, (0, 2))
    out = fuse([[0, 0], [0, 0], [1, 0]], [1, 1, 1])
    assert out.kernels.isfinite().all() and len(out) == 3


@pytest.mark.parametrize('similarity_thr', [0.9, None])
def test_fusing_distinct_kernels_twice_changes_nothing(similarity_thr):
    once = fuse(torch.randn(12, 8).tolist(), [0, 1, 2] * 4, similarity_thr, width=8)
    twice = KernelFusion()(once, similarity_thr)
    torch.testing.assert_close(twice.kernels, once.kernels)


def test_gradient_reaches_every_averaged_kernel():
    kernels = torch.eye(3).repeat(2, 1).requires_grad_()
    data = InstanceData(kernels=kernels, labels=torch.zeros(6).long(), scores=torch.ones(6))
    KernelFusion()(data, 0.9).kernels.sum().backward()
    assert kernels.grad.eq(0.5).all()
