"""Maps of centres, regions and kernels, and how they start."""

import torch
from helpers import tiny


def test_maps_of_every_level():
    generator = tiny.build().panoptic_head.kernel_generator.eval()
    with torch.no_grad():
        levels = generator([torch.randn(2, 16, 16 >> i, 24 >> i) for i in range(3)])
    for i, level in enumerate(levels):
        size = 16 >> i, 24 >> i
        assert level.centers.shape == (2, tiny.NUM_THINGS, *size)
        assert level.regions.shape == (2, tiny.NUM_STUFF + 1, *size)
        assert level.kernels.shape == (2, 16, *size)
        for maps in (level.centers, level.regions):
            assert abs(maps.sigmoid().mean() - 0.1) < 0.01
    feats = [torch.randn(1, 16, 8, 8), torch.randn(1, 16, 4, 4)]
    with torch.no_grad():
        for together, alone in zip(generator(feats)[1], generator(feats[1:])[0], strict=True):
            assert torch.equal(together, alone)
