"""What tiles have of a thing that the overview shows as a whole."""

import numpy as np

from mmpfcn.structures.large_things import LargeThings
from mmpfcn.structures.tile import Tile, Views
from mmpfcn.structures.tiling import Tiling

TILING = Tiling((160, 160), 64, 16)  # 3 x 3 tiles; a cell of the overview has 4 x 4 pixels


def large(side=24, label=0):
    index = np.zeros((40, 40), np.uint16)
    index[2 : 2 + side, 2 : 2 + side] = 1
    overview = Tile(index, np.array([label]), np.array([0.7]), np.ones((1, 1)))
    return LargeThings.of(overview, TILING, 1)


def test_only_things_larger_than_half_a_tile():
    assert len(large().labels) == 1 and large().areas.tolist() == [24 * 24 * 16]
    assert len(large(side=8).labels) == len(large(label=1).labels) == 0
    assert (large().inner > 0).sum() == 22 * 22


def test_at_an_edge_of_the_image_nothing_is_certain():
    """A strip that ends between the middle of the last cells and the edge looks as if it went on."""
    index = np.zeros((40, 40), np.uint16)
    index[38:, 2:38] = 1
    found = LargeThings.of(Tile(index, np.zeros(1, int), np.ones(1), np.ones((1, 1))), TILING, 1)
    assert (found.inner > 0).sum() == 34 and not found.certain.any()
    assert np.array_equal(large().certain, large().inner)


def pieces(number, *masks, is_thing=True, score=1.0):
    """Of a tile whose segments have these masks, given as slices."""
    index = np.zeros((64, 64), np.uint16)
    for i, mask in enumerate(masks, start=1):
        index[mask] = i
    n = len(masks)
    tile = Tile(index, np.zeros(n, int), np.full(n, score), np.ones((n, 1)))
    views = Views.of(tile, TILING, number)
    found, overlooked, others = large().parts(tile, views, TILING.windows[number], np.full(n, is_thing))
    return found.tolist(), overlooked.tolist(), others.tolist()


def test_a_large_piece_that_is_cut():
    assert pieces(0, np.s_[8:, 8:]) == ([[0, 0]], [False], [0])
    assert pieces(0, np.s_[8:, 8:], is_thing=False) == ([], [True], [0])
    assert pieces(0, np.s_[60:, 60:]) == ([], [True], [0])  # too small a part
    assert pieces(0, np.s_[:, :20])[0] == []  # less than half of it lies in the large one


def test_a_thing_that_a_tile_sees_as_a_whole_is_another():
    assert pieces(0, np.s_[8:36, 30:58]) == ([], [False], [28 * 26])  # 7 x 7 cells, pixels in the core
    assert pieces(0, np.s_[12:44, 24:56]) == ([[0, 0]], [True], [0])  # 8 x 8: the overview shows none
    assert large().credible(np.array([3686])).all() and not large().credible(np.array([3687])).any()


def test_what_scores_less_is_a_piece():
    whole, small, score = np.s_[8:60, 8:60], np.s_[40:60, 40:60], 0.35
    assert pieces(0, whole, score=score) == ([[0, 0]], [False], [0])
    assert pieces(0, small, score=score) == ([[0, 0]], [True], [16 * 16 / 2])
    assert pieces(0, small, score=0.7) == ([], [False], [16 * 16])
    assert pieces(0, np.s_[:, :20], score=score)[0] == []  # less than half of it lies in the large one


def test_overlooked_where_it_is():
    assert pieces(0) == ([], [True], [0])
    assert pieces(8) == ([], [False], [0])  # the large thing does not reach there
