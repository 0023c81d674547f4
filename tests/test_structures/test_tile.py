"""Tiles on disk, and what they see of a segment."""

import numpy as np
import pytest

from mmpfcn.structures.tile import Tile, Views, count_overlap
from mmpfcn.structures.tiling import Tiling


def test_on_disk(tmp_path):
    index = np.array([[0, 1], [2, 2]], np.uint16)
    tile = Tile(index, np.array([3, 5]), np.array([0.5, 1]), np.ones((2, 4), np.float32))
    tile.save(tmp_path / 'a' / 'tile.npz')
    again = Tile.load(tmp_path / 'a' / 'tile.npz')
    assert len(again) == 2
    assert all(
        np.array_equal(x, y) and x.dtype == y.dtype
        for x, y in zip(*map(lambda t: vars(t).values(), (tile, again)), strict=True)
    )
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['tile.npz']
    assert len(Tile.empty((2, 3))) == 0 and Tile.empty((2, 3)).index.shape == (2, 3)


def test_a_damaged_file_is_named(tmp_path):
    """Any byte of it, and any length: a tile that is read is the one that was written."""
    path, index = tmp_path / 'tile.npz', np.arange(64, dtype=np.uint16).reshape(8, 8)
    tile = Tile(index, np.arange(64), np.ones(64), np.ones((64, 2), np.float32))
    tile.save(path)
    content = path.read_bytes()
    damaged = [content[:length] for length in range(0, len(content), 97)]
    damaged += [content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :] for at in (1, 150, 400)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match='tile.npz is damaged .*: remove it'):
            Tile.load(path)


def test_views():
    """The right one of two tiles: its core begins at column 6, its window at 4."""
    tiling = Tiling((4, 12), 8, 4)
    index = np.zeros((4, 8), np.uint16)
    index[0, :2] = 1  # cut, not at home
    index[1, 1:3] = 2  # middle at 5.5: at the neighbour's
    index[2, 1:6] = 3  # middle at 7
    index[3, 5:] = 4  # ends at the edge of the image: not cut
    tile = Tile(index, np.array([0, 1, 2, 3]), np.ones(4), np.ones((4, 1)))
    views = Views.of(tile, tiling, 1)
    assert views.cut.tolist() == [True, False, False, False]
    assert views.at_home.tolist() == [False, False, True, True]
    assert views.areas.tolist() == [0, 1, 4, 3]


def test_overlap_is_the_plain_count():
    rng = np.random.default_rng(0)
    a, b, weights = rng.integers(0, 3, (5, 7)), rng.integers(0, 4, (5, 7)), rng.random((5, 7))
    expected = [[weights[(a == i) & (b == j)].sum() for j in range(4)] for i in range(3)]
    assert np.allclose(count_overlap(a, b, (3, 4), weights), expected)
    assert count_overlap(a, b, (3, 4)).sum() == 35
