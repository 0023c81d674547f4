"""Where the tiles of a large image lie, and which of them a pixel belongs to."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A part of an image in pixels; bottom and right are exclusive."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return max(self.bottom - self.top, 0), max(self.right - self.left, 0)

    def common(self, other: 'Window') -> 'Window':
        """What both cover; its shape has a 0 where that is nothing."""
        starts, stops = map(max, self[:2], other[:2]), map(min, self[2:], other[2:])
        return Window(*starts, *stops)

    def inside(self, other: 'Window') -> tuple[slice, slice]:
        """Where it lies in an array of ``other``, which covers it."""
        top, left = other[:2]
        rows = slice(self.top - top, self.bottom - top)
        return rows, slice(self.left - left, self.right - left)


def usual_overlap(tile: int) -> int:
    """Pixels that tiles of this side share where nothing else is said: a quarter."""
    return max(tile // 4, 2)


class Tiling:
    """Tiles of one size that overlap and cover an image, numbered row by row.

    Neighbours share ``overlap`` pixels or more, as many everywhere. In the middle of what they
    share is the seam: a pixel belongs to the tile in whose core, between its seams, it lies.

    Args:
        shape: (H, W) of the image; where it is less than a tile, tiles have its size.
        tile: side of a tile in pixels.
        overlap: least number of pixels that neighbours share, from 2 to tile - 1.
    """

    def __init__(self, shape: tuple[int, int], tile: int, overlap: int) -> None:
        if not 2 <= overlap < tile:
            raise ValueError(
                f'tiles of {tile} pixels with an overlap of {overlap}: expected an overlap from 2 '
                'to less than the tile, such as a quarter of it'
            )
        self.shape, self.tile, self.overlap = tuple(shape), tile, overlap
        (rows, row_cores), (columns, column_cores) = (_axis(n, tile, overlap) for n in shape)
        self.num_columns = len(columns)
        self.windows = _product(rows, columns)
        self.cores = _product(row_cores, column_cores)

    def __len__(self) -> int:
        return len(self.windows)

    def around(self, number: int) -> list[int]:
        """The tiles beside, above and below one, and those between."""
        row, column = divmod(number, self.num_columns)
        rows = range(max(row - 1, 0), min(row + 2, len(self) // self.num_columns))
        columns = range(max(column - 1, 0), min(column + 2, self.num_columns))
        return [n for r in rows for c in columns if (n := r * self.num_columns + c) != number]

    def before(self, number: int) -> list[int]:
        """The tiles to the left of one and above it, as far as they are there."""
        left, above = number % self.num_columns > 0, number >= self.num_columns
        return [number - 1] * left + [number - self.num_columns] * above

    def trust(self, number: int, part: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels to the nearest edge of a tile, of the rows and of the columns of a part of it.

        An edge of the image is none: nothing is cut there. float, from 0.5.
        """
        window = self.windows[number]
        found = []
        for axis in (0, 1):
            at = np.arange(part[axis], part[axis + 2]) + 0.5
            low, high = window[axis], window[axis + 2]
            before = at - low if low > 0 else np.full_like(at, self.tile)
            behind = high - at if high < self.shape[axis] else np.full_like(at, self.tile)
            found.append(np.minimum(before, behind))
        return found[0], found[1]


def _axis(size: int, tile: int, overlap: int) -> tuple[list, list]:
    """(start, stop) of the tiles, and of their cores, along one side of the image."""
    tile = min(tile, size)
    number = max(-(-(size - overlap) // (tile - overlap)), 1) if size > tile else 1
    starts = np.linspace(0, size - tile, number).round().astype(int).tolist()
    spans = [(start, start + tile) for start in starts]
    cuts = [(before + behind) // 2 for (_, before), (behind, _) in pairwise(spans)]
    return spans, list(pairwise([0, *cuts, size]))


def _product(rows: list, columns: list) -> list[Window]:
    return [Window(top, left, bottom, right) for top, bottom in rows for left, right in columns]
