"""Kernel fusion in numpy against the original in PyTorch."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmpfcn import KernelFusion
from mmpfcn.deployment.postprocessing import Kernels, fuse


@pytest.mark.parametrize('similarity_thr', [None, 0.9, 0.3])
@pytest.mark.parametrize('number', [0, 1, 40])
def test_kernel_fusion(number, similarity_thr):
    x = torch.randn(number, 4)
    x[:2] = 0
    labels, scores = torch.randint(3, (number,)), torch.rand(number).sort(descending=True)[0]
    expected = KernelFusion()(InstanceData(kernels=x, labels=labels, scores=scores), similarity_thr)
    arrays = (x.numpy(), labels.numpy(), scores.numpy(), np.ones(number, int))
    actual = fuse(Kernels(*arrays), similarity_thr)
    np.testing.assert_allclose(actual.kernels, expected.kernels, atol=1e-6)
    np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-6)
    assert actual.labels.tolist() == expected.labels.tolist()
    assert actual.num_kernels.tolist() == expected.num_kernels.tolist()
