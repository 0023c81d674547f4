"""Tiles cover an image, their cores are a partition of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpfcn.structures.tiling import Tiling, Window, usual_overlap

TILINGS = st.tuples(st.integers(1, 90), st.integers(1, 90), st.integers(3, 40), st.integers(2, 39)).filter(
    lambda x: x[3] < x[2]
)


@given(TILINGS)
@settings(max_examples=100, deadline=None)
def test_cores_are_a_partition_and_neighbours_share_the_overlap(numbers):
    h, w, tile, overlap = numbers
    tiling = Tiling((h, w), tile, overlap)
    owners = np.zeros((h, w), int)
    for window, core in zip(tiling.windows, tiling.cores, strict=True):
        assert window.shape == (min(tile, h), min(tile, w)) and window.common(core) == core
        owners[core.inside(Window(0, 0, h, w))] += 1
    assert (owners == 1).all()
    for number in range(len(tiling)):
        for other in tiling.before(number):
            assert other < number and other in tiling.around(number)
            shared = tiling.windows[number].common(tiling.windows[other]).shape
            assert sorted(shared)[0] >= min(overlap, h, w)
            assert number in tiling.around(other)


def test_hand_drawn():
    tiling = Tiling((10, 100), 40, 10)
    assert [w.left for w in tiling.windows] == [0, 30, 60]
    assert [(c.left, c.right) for c in tiling.cores] == [(0, 35), (35, 65), (65, 100)]
    # nothing is cut at the edge of the image
    rows, columns = tiling.trust(0, Window(0, 30, 10, 40))
    assert rows.tolist() == [40] * 10 and columns.tolist() == [9.5 - i for i in range(10)]


def test_a_quarter_is_an_overlap_of_any_tile():
    assert [usual_overlap(tile) for tile in (3, 8, 90, 1024)] == [2, 2, 22, 256]


@pytest.mark.parametrize('tile, overlap', [(64, 64), (64, 100), (64, 1), (1, 0)])
def test_overlap_that_leaves_no_tile(tile, overlap):
    with pytest.raises(ValueError, match=f'tiles of {tile} pixels with an overlap of {overlap}'):
        Tiling((100, 100), tile, overlap)
