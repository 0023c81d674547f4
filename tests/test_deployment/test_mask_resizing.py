"""Resizing in numpy against the original in PyTorch."""

import numpy as np
import pytest
import torch

from mmpfcn.deployment.postprocessing import MaskResizer, best_labels
from mmpfcn.ops import label_tiles, mask_resizing

SIZES = [
    ((16, 24), (64, 96), (64, 96)),
    ((16, 24), (61, 90), (427, 640)),
    ((200, 336), (800, 1333), (480, 640)),
    ((8, 80), (3, 300), (1, 97)),
    ((8, 8), (32, 32), (1, 1)),
    ((40, 8), (160, 1), (900, 3)),
]


def resizers(sizes: tuple) -> tuple:
    return MaskResizer(*sizes), mask_resizing.MaskResizer(*sizes, torch.device('cpu'))


def smooth_maps(number: int, shape: tuple) -> torch.Tensor:
    coarse = torch.rand(number, 1, -(-shape[0] // 4), -(-shape[1] // 4))
    return torch.nn.functional.interpolate(coarse, size=shape, mode='bicubic')[:, 0].clamp(0, 1)


@pytest.mark.parametrize('sizes', SIZES)
def test_weights_and_masks(sizes):
    """Of the rows and of the columns, from maps of one row or column of ones."""
    ours, theirs = resizers(sizes)
    for axis, side in enumerate(sizes[0]):
        weights = np.zeros((sizes[2][axis], side), np.float32)
        for cell in range(side):
            unit = np.zeros(sizes[0], np.float32)
            unit[(slice(None),) * axis + (cell,)] = 1
            weights[:, cell] = ours.resize(unit).take(0, 1 - axis)
        expected = (theirs.rows, theirs.columns)[axis].matrix
        np.testing.assert_allclose(weights, expected, atol=2e-4)
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    for prob in [*smooth_maps(3, sizes[0]), torch.zeros(sizes[0]), torch.ones(sizes[0])]:
        mask = ours.resize(prob.numpy()) > 0.4
        everything = slice(0, sizes[2][0]), slice(0, sizes[2][1])
        expected = theirs.resize(prob, *everything) > 0.4
        assert mask.shape == sizes[2] and (mask == expected.numpy()).mean() >= 0.999


@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('number', [1, 2, 9])
def test_best_labels(sizes, number):
    ours, theirs = resizers(sizes)
    maps = smooth_maps(number, sizes[0])
    maps[0] = 0  # "none"
    labels = torch.arange(number).flip(0).short() + 5
    actual = best_labels(maps.numpy(), labels.numpy(), ours)
    expected = label_tiles.best_labels(maps, labels, theirs).numpy()
    assert actual.dtype == np.int16 and actual.shape == sizes[2]
    assert (actual == expected).mean() >= 0.999
