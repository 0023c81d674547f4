"""The best of many maps is that of the whole maps, and only maps that can win are resized."""

import pytest
import torch
import torch.nn.functional as F

from mmpfcn.ops.label_tiles import TileGrid, best_labels
from mmpfcn.ops.mask_resizing import MaskResizer

from .test_mask_resizing import CPU, SHAPES, whole


@pytest.mark.parametrize('cells, img_shape, out_shape', SHAPES)
@pytest.mark.parametrize('noise', [0.0, 0.02, 1.0])
def test_best_labels_are_those_of_the_whole_maps(cells, img_shape, out_shape, noise):
    coarse = torch.rand(9, 1, 3, 3)
    maps = F.interpolate(coarse, cells, mode='bilinear')[:, 0] + noise * torch.rand(9, *cells)
    labels = torch.randperm(50)[:9].short()
    found = best_labels(maps, labels, MaskResizer(cells, img_shape, out_shape, CPU))
    best, channel = whole(maps, img_shape, out_shape).sort(dim=0, descending=True)
    clear = best[0] - best[1] > 1e-5
    assert clear.float().mean() > 0.9
    assert found.dtype == torch.int16 and found.shape == out_shape
    assert torch.equal(found[clear], labels[channel[0]][clear])


def test_the_first_of_equal_maps_is_the_best():
    maps = torch.rand(1, 16, 16).repeat(3, 1, 1)
    resizer = MaskResizer((16, 16), (60, 64), (91, 33), CPU)
    assert best_labels(maps, torch.tensor([7, 8, 9]), resizer).eq(7).all()
    assert best_labels(torch.zeros(3, 16, 16), torch.tensor([7, 8, 9]), resizer).eq(7).all()


def test_only_maps_that_can_win_are_resized(monkeypatch):
    """Two of five maps, each the best on a half: only tiles at the border are computed, for two."""
    maps = torch.full((5, 64, 64), 0.1)
    maps[1], maps[3] = 0.2, 0.2
    maps[1, :, :30], maps[3, :, 30:] = 0.9, 0.9
    resizer = MaskResizer((64, 64), (256, 256), (300, 300), CPU)
    seen, sample = [], TileGrid.sample
    monkeypatch.setattr(TileGrid, 'sample', lambda *args: seen.extend(args[2].tolist()) or sample(*args))
    found = best_labels(maps, torch.arange(5), resizer)
    assert torch.equal(found, whole(maps, (256, 256), (300, 300)).argmax(0))
    assert sorted(seen) == [1] * 8 + [3] * 8  # 8 of the 64 tiles
