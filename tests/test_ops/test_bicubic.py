"""Against PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F

from mmpfcn.ops.bicubic import resize_bicubic


@pytest.mark.parametrize('size', [(37, 37), (50, 84), (8, 10), (1, 3), (36, 38), (74, 12)])
def test_as_pytorch(size):
    maps = torch.randn(2, 3, 37, 37, dtype=torch.float64)
    expected = F.interpolate(maps, size, mode='bicubic', antialias=True, align_corners=False)
    assert torch.allclose(resize_bicubic(maps, size), expected, atol=1e-12)
