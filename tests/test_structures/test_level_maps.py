"""The letters of the maps of a level."""

import torch

from mmpfcn.structures.level_maps import LevelMaps, region_labels


def test_channels_and_precision():
    assert region_labels(2, 3, False) == [2, 3, 4, 5]
    assert region_labels(2, 3, True) == [2, 3, 4, 0, 1]
    maps = LevelMaps(*(torch.rand(1, c, 2, 2).bfloat16() for c in (1, 2, 3)))
    assert {x.dtype for x in maps.float()} == {torch.float32}
    assert all(torch.equal(a, b.float()) for a, b in zip(maps.float(), maps, strict=True))
