"""Soft masks at stride 4 against F.interpolate."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmpfcn.ops import soft_masks
from mmpfcn.ops.soft_masks import bilinear_taps, soft_masks_of_map, soft_masks_of_stack

SIZES = [(64, 96), (61, 90), (33, 47), (5, 3), (2, 2), (1, 3)]


def label_map(size, num_labels):
    return torch.from_numpy(np.random.default_rng(0).integers(0, num_labels, size))


def interpolated(masks, mask_size):
    size = [int(side / 4 + 0.5) for side in masks.shape[1:]]
    soft = F.interpolate(masks[:, None].float(), size, mode='bilinear', align_corners=False)[:, 0]
    return F.pad(soft, (0, mask_size[1] - size[1], 0, mask_size[0] - size[0]))


@pytest.mark.parametrize('chunk_size', [1, 200, 2**22])
@pytest.mark.parametrize('size', [size for size in SIZES if min(size) > 1])
def test_map_and_stack_are_interpolated(monkeypatch, size, chunk_size):
    monkeypatch.setattr(soft_masks, 'CHUNK_SIZE', chunk_size)
    labels = label_map(size, 6)
    mask_of_label = torch.tensor([2, 0, 4, 4, 1, 3])  # label 2 and 3 have none
    masks = torch.stack([labels == label for label in (1, 4, 0, 5)])
    golden = interpolated(masks, (17, 26))
    ours = soft_masks_of_map(labels, mask_of_label, 4, (17, 26))
    torch.testing.assert_close(ours, golden, rtol=0, atol=1e-7)
    assert torch.equal(soft_masks_of_stack(masks.byte(), (17, 26)), golden)


def test_labels_beyond_the_table_and_no_mask():
    labels = torch.tensor([-3, 9]).repeat_interleave(8).expand(16, 16)
    soft = soft_masks_of_map(labels, torch.tensor([1, 2, 0]), 2, (4, 4))
    assert soft[0].sum(0).tolist() == [0, 0, 4, 4] and soft[1].sum(0).tolist() == [4, 4, 0, 0]
    assert soft_masks_of_map(label_map((16, 16), 1), torch.zeros(1).long(), 0, (4, 4)).shape == (0, 4, 4)
    assert soft_masks_of_stack(torch.zeros(0, 16, 16, dtype=torch.uint8), (4, 4)).shape == (0, 4, 4)
    labels = torch.ones(150, 101, dtype=torch.uint8)
    soft = soft_masks_of_map(labels, torch.tensor([1, 0]), 1, (40, 26))
    assert soft[0, :38, :25].eq(1).all() and soft.sum() == 38 * 25


@pytest.mark.parametrize('length', [2, 7, 30, 569, 1333])
def test_weights_are_those_of_interpolate(length):
    size = int(length / 4 + 0.5)
    taps, weights = bilinear_taps(length, size, torch.device('cpu'))
    matrix = torch.zeros(length, size)
    for tap, weight in zip(taps, weights, strict=True):
        matrix[tap, torch.arange(size)] += weight
    golden = F.interpolate(torch.eye(length)[None], size, mode='linear', align_corners=False)[0]
    torch.testing.assert_close(matrix, golden, rtol=0, atol=1e-6)
