"""Parts of a resized map are the parts of the whole map, and only the needed ones are computed."""

import resource
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmpfcn.ops.mask_resizing import FullMasks, MaskResizer, extents, spans_of

CPU = torch.device('cpu')
SHAPES = [  # cells, input without padding, output
    ((16, 24), (64, 96), (64, 96)),
    ((16, 24), (50, 81), (37, 61)),
    ((16, 24), (61, 93), (200, 431)),
    ((8, 8), (1, 32), (3, 1)),
    ((32, 8), (101, 29), (7, 400)),
    ((24, 40), (75, 158), (1, 2)),
]


def whole(maps, img_shape, out_shape):
    maps = F.interpolate(maps[:, None], scale_factor=4, mode='bilinear')
    maps = maps[..., : img_shape[0], : img_shape[1]]
    return F.interpolate(maps, size=out_shape, mode='bilinear')[:, 0]


@pytest.mark.parametrize('cells, img_shape, out_shape', SHAPES)
def test_parts_weights_and_boxes(cells, img_shape, out_shape):
    """Any part is that of the whole, a pixel a mean of at most three cells, a box no larger than needed."""
    maps = torch.rand(3, *cells)
    expected = whole(maps, img_shape, out_shape)
    resizer = MaskResizer(cells, img_shape, out_shape, CPU)
    for _ in range(20):
        rows, columns = (slice(*sorted(torch.randint(0, side + 1, (2,)).tolist())) for side in out_shape)
        part = resizer.resize(maps, rows, columns)
        torch.testing.assert_close(part, expected[:, rows, columns], rtol=0, atol=1e-6)
        if part.numel():
            clear = (part[0] - 0.5).abs() > 1e-6
            mask = resizer.exceeds(maps[0], rows, columns, 0.5)
            assert torch.equal(mask & clear, (part[0] > 0.5) & clear)
    for axis in (resizer.rows, resizer.columns):
        torch.testing.assert_close(axis.matrix.sum(1), torch.ones(len(axis.matrix)))
        used = extents(axis.matrix)
        assert (axis.matrix >= 0).all() and (used[:, 1] - used[:, 0]).max() <= 3
    maps = torch.zeros(30, *cells)
    spots = torch.stack([torch.randint(0, side, (30,)) for side in cells])
    maps[torch.arange(30), spots[0], spots[1]] = 1
    boxes = [resizer.box(*span) for span in spans_of(maps).tolist()]
    for box, image in zip(boxes, whole(maps, img_shape, out_shape), strict=True):
        # and nothing else; a cell of the padding has a box without area
        assert image[box].gt(0).sum() == image[box].numel() == image.gt(0).sum()


def test_extents_empty_boxes_and_full_masks(tmp_path):
    rows = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]])
    assert extents(rows).tolist() == [[1, 4], [5, 0], [0, 5], [4, 5]]
    resizer = MaskResizer((8, 8), (32, 32), (50, 50), CPU)
    rows, columns = resizer.box(*spans_of(torch.zeros(1, 8, 8))[0].tolist())
    assert resizer.exceeds(torch.zeros(8, 8), rows, columns, 0.5).numel() == 0
    assert spans_of(torch.zeros(0, 8, 8)).shape == (0, 4)
    masks = FullMasks(3, (6, 8), CPU)
    masks.add(0, torch.tensor([[False, True], [False, False]]), slice(1, 3), slice(4, 6))
    masks.add(1, torch.zeros(0, 4, dtype=torch.bool), slice(2, 2), slice(0, 4))
    assert masks.masks.nonzero().tolist() == [[0, 1, 5]]
    assert masks.bboxes().tolist() == [[5, 1, 6, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    masks = FullMasks(2, (5, 7), CPU)
    masks.add(1, torch.ones(2, 3, dtype=torch.bool), slice(0, 2), slice(1, 4))
    masks = masks.masks
    assert masks.is_contiguous() and masks.sum() == 6 and masks[1, :2, 1:4].all()
    torch.save(masks, tmp_path / 'masks.pth')
    assert torch.equal(torch.load(tmp_path / 'masks.pth'), masks)
    assert FullMasks(0, (5, 7), CPU).masks.shape == (0, 5, 7)
    assert FullMasks(0, (5, 7), CPU).bboxes().shape == (0, 4)


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='needs the pages of Linux')
def test_masks_take_memory_only_where_they_are_written():
    """64 masks of 4 megapixels are 256 MB; the row that is written to is 2000 bytes."""

    def resident_bytes() -> int:
        return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()

    before = resident_bytes()
    masks = FullMasks(64, (2000, 2000), CPU)
    for i in range(64):
        masks.add(i, torch.ones(1, 2000, dtype=torch.bool), slice(9, 10), slice(0, 2000))
    assert resident_bytes() - before < 32e6
    assert masks.masks.count_nonzero() == 64 * 2000
