"""Perfect tiles of drawn scenes make exactly the scene."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpfcn.structures.tile import Tile
from mmpfcn.structures.tile_joining import JoinedTiles
from mmpfcn.structures.tiling import Tiling

T = 3  # thing classes, and two of stuff


def draw(rng, shape, num_things):
    """(H, W) numbers: stuff 1 and 2 and void 0, then things, which hide each other; and labels."""
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
    return scene, np.array(labels), rng.normal(size=(3 + num_things, 4))


def perfect(scene, labels, kernels, rng, window=None):
    """What an ideal model says about a part of the scene, its segments in any order."""
    part = scene if window is None else scene[window.top : window.bottom, window.left : window.right]
    numbers = rng.permutation(np.setdiff1d(np.unique(part), [0]))
    numbers = numbers[np.argsort(labels[numbers] >= T, kind='stable')]
    table = np.zeros(len(labels), np.uint16)
    table[numbers] = np.arange(1, len(numbers) + 1)
    return Tile(table[part], labels[numbers], np.full(len(numbers), 0.9), kernels[numbers])


def joined_map(joined, shape):
    ids = np.full(shape, -1)
    for core, block in joined.blocks():
        assert (ids[core.top : core.bottom, core.left : core.right] == -1).all()
        ids[core.top : core.bottom, core.left : core.right] = block
    return ids


def same_parts(ids, scene):
    """Whether two maps differ in the names of their parts alone; 0 is 0 in both."""
    pairs = np.unique(np.stack([ids.ravel(), scene.ravel()]), axis=1)
    names = [len(np.unique(x)) == pairs.shape[1] for x in pairs]
    return all(names) and ((pairs[0] == 0) == (pairs[1] == 0)).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_perfect_tiles_make_the_scene(seed):
    rng = np.random.default_rng(seed)
    shape, tile = rng.integers(40, 130, 2), int(rng.integers(16, 60))
    tiling = Tiling(shape, tile, int(rng.integers(2, tile)))
    scene, labels, kernels = draw(rng, shape, int(rng.integers(0, 12)))
    scene = connected(scene)
    tiles = [perfect(scene, labels, kernels, rng, window) for window in tiling.windows]
    step = -(-max(shape) // tile)
    overview = perfect(scene[step // 2 :: step, step // 2 :: step], labels, kernels, rng)
    joined = JoinedTiles(tiling, tiles.__getitem__, T, overview)
    assert same_parts(joined_map(joined, shape), scene)


def connected(scene):
    """Of a thing that others cut into pieces, the largest; the rest becomes stuff."""
    from scipy.ndimage import label

    for number in range(3, scene.max() + 1):
        pieces, count = label(scene == number)
        if count > 1:
            areas = np.bincount(pieces.ravel())[1:]
            scene[(pieces > 0) & (pieces != areas.argmax() + 1)] = 1
    return scene
