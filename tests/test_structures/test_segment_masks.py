"""Masks in one map do what mmdet's array of masks does."""

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks

from mmpfcn import SegmentMasks


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    index = np.kron(rng.integers(0, 6, (7, 9)), np.ones((4, 5))).astype(np.uint16)
    ours = SegmentMasks(index, [5, 2, 3])
    return ours, BitmapMasks(ours.masks.copy(), *index.shape)


OPERATIONS = {
    'rescale': lambda masks: masks.rescale((50, 60)),
    'resize': lambda masks: masks.resize((11, 30)),
    'flip': lambda masks: masks.flip(),
    'flip vertical': lambda masks: masks.flip('vertical'),
    'flip diagonal': lambda masks: masks.flip('diagonal'),
    'pad': lambda masks: masks.pad((40, 50)),
    'pad with ones': lambda masks: masks.pad((40, 50), 1),
    'crop': lambda masks: masks.crop(np.array([3, 5, 20, 17])),
    'crop outside': lambda masks: masks.crop(np.array([40, 5, 60, 17])),
    'crop nothing': lambda masks: masks.crop(np.array([4, 5, 4, 5])),
    'one': lambda masks: masks[1],
    'some': lambda masks: masks[np.array([True, False, True])],
    'order': lambda masks: masks[np.array([2, 0])],
    'none': lambda masks: masks[np.zeros(0, int)].resize((6, 6)),
    'expand': lambda masks: masks.expand(40, 60, 3, 4),
    'translate': lambda masks: masks.translate((28, 45), 5),
    'rotate': lambda masks: masks.rotate((28, 45), 20),
    'crop and resize': lambda masks: masks.crop_and_resize(
        np.array([[0, 0, 20, 20], [3, 3, 9, 9]], np.float32), (6, 6), np.array([0, 2])
    ),
}


@pytest.mark.parametrize(
    'name', [pytest.param(n, marks=pytest.mark.ops if n == 'crop and resize' else ()) for n in OPERATIONS]
)
def test_as_bitmap_masks(pair, name):
    ours, theirs = (OPERATIONS[name](masks) for masks in pair)
    assert isinstance(ours, BitmapMasks) and len(ours) == len(theirs)
    assert (ours.height, ours.width) == (theirs.height, theirs.width)
    assert np.array_equal(ours.to_ndarray(), theirs.to_ndarray())
    assert np.array_equal(ours.areas, theirs.areas)
    if len(ours):
        assert torch.equal(ours.get_bboxes('hbox').tensor, theirs.get_bboxes('hbox').tensor)


def test_tensors_memory_and_interpolation(pair):
    for dtype in (torch.uint8, torch.bool, torch.float32):
        ours, theirs = (masks.to_tensor(dtype, 'cpu') for masks in pair)
        assert ours.dtype == dtype and torch.equal(ours, theirs)
    # What a worker sends to the main process.
    import pickle

    many = SegmentMasks(pair[0].index_map, range(1, 200)).resize((280, 450))
    assert len(pickle.dumps(many)) < 2 * 280 * 450 + 2000
    with pytest.raises(ValueError, match="interpolation=.nearest., got 'bilinear'"):
        pair[0].resize((3, 3), 'bilinear')
