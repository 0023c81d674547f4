"""Masks of annotations."""

import numpy as np
from pycocotools import mask as mask_utils

from mmpfcn.commands.convert.fields import decode, encode


def test_the_part_with_pixels_is_that_of_the_whole_mask():
    """Of polygons anywhere, masks of several parts, none, all, and runs of no length."""
    rng, (height, width) = np.random.default_rng(0), (30, 90)
    rles = [
        encode([(rng.uniform(-9, 9, 8) + rng.uniform(0, 95)).tolist()], height, width, '') for _ in range(200)
    ]
    masks = [rng.random((height, width)) < share for share in (0, 0.0005, 0.001, 0.5, 1)]
    rles += [mask_utils.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    total = height * width
    for counts in (
        [total, 0],
        [0, 0, 7, 3, total - 10],
        [total - 4, 4],
        [40, 0, 9, 5, total - 54, 0],
        [0, 5, total - 5],
    ):
        rles.append(mask_utils.frPyObjects(dict(size=[height, width], counts=counts), height, width))
    shares = []
    for rle in rles:
        part, where = decode(rle)
        whole = np.zeros((height, width), np.uint8)
        whole[where] = part
        assert np.array_equal(whole, mask_utils.decode(rle))
        shares.append(part.size / whole.size)
    assert np.median(shares) < 0.3
