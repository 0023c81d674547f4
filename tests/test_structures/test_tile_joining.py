"""Perfect tiles of drawn scenes make exactly the scene."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from mmpfcn.structures.tile import Tile
from mmpfcn.structures.tile_joining import JoinedTiles, agreeing
from mmpfcn.structures.tiling import Tiling

T = 3  # thing classes; two of stuff


def draw(rng, shape, num_things, margin=0):
    """(H, W) numbers: void 0, stuff 1 and 2, then things that hide each other; and labels.

    Along the edges of the image, void of so many pixels.
    """
    h, w = shape
    y, x = np.mgrid[:h, :w]
    scene = np.where(x < rng.integers(0, w + 1), 1, 2)
    scene[(y - h // 2) ** 2 + (x - w // 3) ** 2 < 30] = 0
    labels = [-1, T, T + 1]
    for number in range(3, 3 + num_things):
        cy, cx = rng.uniform(0, h), rng.uniform(0, w)
        ry, rx = np.exp(rng.uniform(np.log(1.5), np.log(max(shape)), 2))
        disc = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        square = (abs(y - cy) < ry) & (abs(x - cx) < rx)
        scene[[disc, square][rng.integers(2)]] = number
        labels.append(int(rng.integers(T)))
    scene = np.pad(scene[margin : h - margin, margin : w - margin], margin)
    for number in range(3, 3 + num_things):  # the largest part of things that others cut
        parts, count = label(scene == number)
        if count > 1:
            scene[(parts > 0) & (parts != np.bincount(parts.ravel())[1:].argmax() + 1)] = 1
    return scene, np.array(labels), rng.normal(size=(3 + num_things, 4))


def perfect(scene, labels, kernels, rng):
    """What an ideal model says about a part of the scene, its segments in any order."""
    numbers = rng.permutation(np.setdiff1d(np.unique(scene), [0]))
    numbers = numbers[np.argsort(labels[numbers] >= T, kind='stable')]
    table = np.zeros(len(labels), np.uint16)
    table[numbers] = np.arange(1, len(numbers) + 1)
    return Tile(table[scene], labels[numbers], np.full(len(numbers), 0.9), kernels[numbers])


def joined_map(joined):
    """(H, W) ids of all blocks."""
    ids = np.full(joined.tiling.shape, -1)
    for core, block in joined.blocks():
        ids[core.top : core.bottom, core.left : core.right] = block
    return ids


@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
@example(10**6 + 1425, 0)  # a large thing ends behind the middle of the last cells of the overview
@settings(max_examples=60, deadline=None)
def test_perfect_tiles_make_the_scene(seed, margin):
    rng = np.random.default_rng(seed)
    shape, tile = rng.integers(40, 130, 2), int(rng.integers(16, 60))
    tiling = Tiling(shape, tile, int(rng.integers(2, tile)))
    scene, labels, kernels = draw(rng, shape, int(rng.integers(0, 12)), margin)
    parts = (scene[w.top : w.bottom, w.left : w.right] for w in tiling.windows)
    tiles = [perfect(part, labels, kernels, rng) for part in parts]
    step = -(-max(shape) // tile)
    overview = perfect(scene[step // 2 :: step, step // 2 :: step], labels, kernels, rng)
    joined = JoinedTiles(tiling, tiles.__getitem__, T, overview)
    ids = joined_map(joined)
    # the maps differ in the names of their parts alone, and 0 is 0 in both
    pairs = np.unique(np.stack([ids.ravel(), scene.ravel()]), axis=1).T.tolist()
    assert len(pairs) == len({id_ for id_, _ in pairs}) == len({number for _, number in pairs})
    assert all((id_ == 0) == (number == 0) for id_, number in pairs)
    found = {segment['id']: segment for segment in joined.segments()}
    assert found.keys() == {id_ for id_, _ in pairs} - {0}
    for id_, number in pairs:
        if id_:
            ys, xs = np.nonzero(scene == number)
            box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            expected = dict(label=labels[number], area=len(ys), bbox=box, score=0.9)
            assert expected.items() <= found[id_].items()
            assert found[id_]['isthing'] == (labels[number] < T)


NOTHING = np.s_[0:0]


def two_tiles(left, right, kernels=((1, 0), (1, 0)), label_=0, **settings):
    """Two tiles of 4 x 8 that share columns 4 to 7, each with one segment at columns of its own."""
    tiles = []
    for columns, kernel in zip((left, right), kernels, strict=True):
        index = np.zeros((4, 8), np.uint16)
        index[1:3, columns] = 1
        n = index.max()
        kernel = np.array([kernel] * n, float).reshape(n, 2)
        tiles.append(Tile(index, np.full(n, label_, int), np.full(n, 0.5), kernel))
    joined = JoinedTiles(Tiling((4, 12), 8, 4), tiles.__getitem__, 1, Tile.empty((1, 1)), **settings)
    return joined_map(joined)[1].tolist(), [s['area'] for s in joined.segments()]


@pytest.mark.parametrize('left, right, expected', [
    (np.s_[2:7], np.s_[0:3], '001111100000'),  # the same thing: each tile keeps its core
    (np.s_[3:7], NOTHING, '000111100000'),  # the neighbour overlooked it: it stays whole
    (np.s_[5:8], NOTHING, '000001000000'),  # cut, so it counts
    (NOTHING, np.s_[1:3], '000000000000'),  # its middle lies in the other, which says: nothing
    (NOTHING, np.s_[1:5], '000001111000'),
])  # fmt: skip
def test_things_at_a_seam(left, right, expected):
    assert ''.join(map(str, two_tiles(left, right)[0])) == expected


def test_kernels_that_point_elsewhere_are_two_things():
    ids, areas = two_tiles(np.s_[2:7], np.s_[0:3], kernels=((1, 0), (0, 1)))
    assert ids == [0, 0, 1, 1, 1, 1, 2, 0, 0, 0, 0, 0] and areas == [8, 2]


def test_stuff_is_one_segment_and_may_be_too_small():
    ids, areas = two_tiles(np.s_[0:2], np.s_[6:8], label_=1)
    assert ids == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1] and areas == [8]
    assert two_tiles(np.s_[0:2], np.s_[6:8], label_=1, stuff_area_limit=9)[1] == []


def test_a_large_thing_in_pieces_is_one():
    """Three tiles see a bar of 4 x 36 as two pieces of another class with a hole between them."""
    tiling = Tiling((4, 40), 16, 4)
    index = np.zeros((3, 4, 16), np.uint16)
    index[0, :, 2:] = index[1] = index[2, :, :14] = 1
    index[1, 1:3, 6:10] = 0
    sure = Tile(index[0], np.array([0]), np.array([0.9]), np.ones((1, 1)))
    tiles = [sure, *(Tile(x, np.array([1]), np.array([0.3]), -np.ones((1, 1))) for x in index[1:])]
    overview = np.zeros((4, 40), np.uint16)
    overview[:, 2:38] = 1
    overview = Tile(overview, np.array([0]), np.array([0.8]), np.ones((1, 1)))
    joined = JoinedTiles(tiling, tiles.__getitem__, 2, overview)
    assert joined_map(joined)[2].tolist() == [0] * 2 + [1] * 36 + [0] * 2
    assert [s['label'] for s in joined.segments()] == [0]


def test_edges_of_tiles_count_less():
    """One pixel in common, in the middle or at the edge."""
    tile = Tile(np.zeros((1, 3), np.uint16), np.zeros(1, int), np.ones(1), np.ones((1, 2)))
    a, b = np.array([[1, 1, 0]]), np.array([[0, 1, 1]])
    assert agreeing(tile, tile, a, b, np.array([[0.5, 1.5, 0.5]])).tolist() == [[0, 0]]
    assert agreeing(tile, tile, a, b, np.array([[1.5, 0.5, 1.5]])).tolist() == []
