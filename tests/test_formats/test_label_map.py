"""Ground truth by look-up against the plain way."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from mmpfcn.formats.label_map import (
    decode_segments,
    encode_segments,
    find_runs,
    segment_areas,
    segment_boxes,
    segment_index,
)

MAPS = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(
        0, 6, np.random.default_rng(seed).integers(1, 12, 2), np.int32
    )
)


@given(MAPS, st.lists(st.integers(1, 9), unique=True, max_size=6))
@settings(max_examples=100, deadline=None)
def test_look_up_is_the_plain_comparison(ids, segment_ids):
    index = segment_index(ids, segment_ids)
    areas = segment_areas(index, len(segment_ids))
    boxes = segment_boxes(index, len(segment_ids))
    assert areas[0] == (index == 0).sum() and areas.sum() == ids.size
    for number, id_ in enumerate(segment_ids, start=1):
        mask = ids == id_
        assert np.array_equal(index == number, mask) and areas[number] == mask.sum()
        ys, xs = np.nonzero(mask)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(ys) else [0, 0, 0, 0]
        assert boxes[number - 1].tolist() == box


@given(MAPS)
@settings(max_examples=50, deadline=None)
def test_runs_cover_the_map_row_by_row(ids):
    runs = find_runs(ids)
    assert np.array_equal(np.repeat(runs.values, runs.lengths), ids.ravel())
    assert (runs.starts % ids.shape[1] + runs.lengths <= ids.shape[1]).all()


@given(MAPS, st.lists(st.integers(1, 9), unique=True, max_size=6))
@settings(max_examples=100, deadline=None)
def test_masks_as_run_lengths_are_those_of_coco(ids, segment_ids):
    rles = encode_segments(ids, segment_ids)
    for rle, id_ in zip(rles, segment_ids, strict=True):
        expected = coco_mask.encode(np.asfortranarray(ids == id_, np.uint8))
        assert rle == dict(size=list(expected['size']), counts=expected['counts'].decode())
    kept = np.where(np.isin(ids, segment_ids), ids, 0)
    assert np.array_equal(decode_segments(rles, segment_ids, ids.shape), kept)
