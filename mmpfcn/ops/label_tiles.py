"""Which of many maps is the greatest at a pixel, without resizing maps that cannot win there."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .mask_resizing import Axis, MaskResizer

TILE_CELLS = 8  # side of a tile; small ones have few rivals, large ones take fewer operations
CHUNK_PIXELS = 2**22  # computed at a time: 16 MiB for a tensor in float32


def best_labels(maps: Tensor, labels: Tensor, resizer: MaskResizer) -> Tensor:
    """Label of the map that is the greatest at a pixel, of equal ones the first.

    Every pixel is a weighted mean of cells. So in a part of the image only those maps can win whose
    maximum there reaches the greatest minimum of all: often one, and then there is nothing to
    compute.

    The K >= 1 maps, (K, H/4, W/4), are not negative. Returns (H, W) of the labels' type, and waits
    for the device, once.
    """
    grid = TileGrid(resizer)
    low, high = grid.bounds(maps)
    rivals = high >= low.amax(0) * (1 - 1e-6)  # a mean may be rounded
    counts, tiles = rivals.sum(0).sort(descending=True)
    ranked = rivals.byte().argsort(dim=0, descending=True, stable=True)[:, tiles]
    result = labels[ranked[0]][:, None, None].repeat(1, *grid.tile_shape)
    contested = [count for count in counts.tolist() if count > 1]
    step = max(CHUNK_PIXELS // result[0].numel(), 1)
    for start in range(0, len(contested), step):
        part = slice(start, start + step)
        _contest(grid, maps, labels, tiles[part], ranked[:, part], contested[part], result[part])
    return grid.join(result[tiles.argsort()])


def _contest(
    grid: 'TileGrid',
    maps: Tensor,
    labels: Tensor,
    tiles: Tensor,
    ranked: Tensor,
    counts: list[int],
    result: Tensor,
) -> None:
    """Decide some tiles, with ``counts`` (n,) rivals each, those with most of them first.

    ``ranked`` are (K, n) numbers of maps, rivals first. ``result`` (n, *tile_shape), filled with
    the first rivals' labels, is changed in place.
    """
    best = grid.sample(maps, ranked[0, : len(counts)], tiles[: len(counts)])
    for rank in range(1, counts[0]):
        n = sum(count > rank for count in counts)
        values = grid.sample(maps, ranked[rank, :n], tiles[:n])
        better, label = values > best[:n], labels[ranked[rank, :n], None, None]
        result[:n] = torch.where(better, label, result[:n])
        torch.maximum(best[:n], values, out=best[:n])


class AxisTiles(NamedTuple):
    """Rows or columns of the output as n tiles of one size; the last may reach beyond the end."""

    starts: Tensor  # (n,) first cell of the window of cells that make a tile
    weights: Tensor  # (n, pixels of a tile, cells of a window), 0 for pixels beyond the end


def cut_axis(axis: Axis) -> AxisTiles:
    """Tiles of about ``TILE_CELLS`` cells."""
    size, num_cells = axis.matrix.shape
    pixels = -(-size // min(-(-num_cells // TILE_CELLS), size))
    number = -(-size // pixels)
    starts, stops = axis.first[::pixels], axis.stop[pixels - 1 :: pixels]
    if len(stops) < number:
        stops = torch.cat([stops, axis.stop[-1:]])
    width = int((stops - starts).max())
    starts = starts.clamp(max=num_cells - width)
    weights = F.pad(axis.matrix, (0, 0, 0, number * pixels - size)).view(number, pixels, -1)
    windows = starts[:, None, None] + torch.arange(width).expand(number, pixels, -1)
    device = axis.weights.device
    return AxisTiles(starts.to(device), weights.gather(2, windows).to(device))


class TileGrid:
    """The output of a resizing in tiles, numbered row by row."""

    def __init__(self, resizer: MaskResizer) -> None:
        self.rows, self.columns = cut_axis(resizer.rows), cut_axis(resizer.columns)
        self.tile_shape = self.rows.weights.shape[1], self.columns.weights.shape[1]  # in pixels
        self._out_shape = resizer.out_shape

    def bounds(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Minima and maxima of the cells that make a tile: (K, H/4, W/4) -> (K, tiles) each."""
        y, x = (
            axis.starts[:, None] + torch.arange(axis.weights.shape[2], device=maps.device)
            for axis in (self.rows, self.columns)
        )
        rows = maps.index_select(1, y.flatten()).unflatten(1, y.shape)
        return tuple(
            reduce(reduce(rows, 2)[:, :, x], 3).flatten(1) for reduce in (torch.amin, torch.amax)
        )

    def sample(self, maps: Tensor, which: Tensor, tiles: Tensor) -> Tensor:
        """Pixels of n pairs of map and tile: maps (K, H/4, W/4) -> (n, *tile_shape)."""
        y, x = tiles // len(self.columns.starts), tiles % len(self.columns.starts)
        windows = maps.unfold(1, self.rows.weights.shape[2], 1)
        windows = windows.unfold(2, self.columns.weights.shape[2], 1)
        values = windows[which, self.rows.starts[y], self.columns.starts[x]]
        values = torch.bmm(values, self.columns.weights.index_select(0, x).transpose(1, 2))
        return torch.bmm(self.rows.weights.index_select(0, y), values)

    def join(self, values: Tensor) -> Tensor:
        """All tiles in their order, as an image: (tiles, *tile_shape) -> (H, W)."""
        shape = len(self.rows.starts), len(self.columns.starts), *self.tile_shape
        image = values.view(shape).transpose(1, 2).flatten(0, 1).flatten(1)
        return image[: self._out_shape[0], : self._out_shape[1]].contiguous()
