"""What a model says about one tile of a large image."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from ..formats.atomic_files import open_atomic
from ..formats.label_map import find_runs
from .tiling import Tiling


@dataclass(frozen=True)
class Tile:
    """n segments, things before stuff."""

    index: np.ndarray  # (h, w) uint16, i + 1 on the i-th segment, 0 where there is none
    labels: np.ndarray  # (n,) int64
    scores: np.ndarray  # (n,) float64 in [0, 1]
    kernels: np.ndarray  # (n, E) float32, see :class:`PanopticResult`

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> 'Tile':
        """Without segments."""
        none = np.zeros(0)
        return cls(np.zeros(shape, np.uint16), none.astype(int), none, np.zeros((0, 1)))

    @classmethod
    def load(cls, path: Path) -> 'Tile':
        """From a file of :meth:`save`. Raises ValueError where it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(**file)
        except (BadZipFile, zlib.error, EOFError, TypeError, ValueError) as error:
            raise ValueError(f'tile {path} is damaged ({error}): remove it, and go on') from error

    def save(self, path: Path) -> None:
        """Write it, compressed; the file appears when it is complete."""
        with open_atomic(path) as file:
            np.savez_compressed(file, **vars(self))


class Views(NamedTuple):
    """Segments as tiles see them."""

    labels: np.ndarray  # (v,) int64
    scores: np.ndarray  # (v,) float64
    areas: np.ndarray  # (v,) int64, pixels in the core of the tile
    at_home: np.ndarray  # (v,) bool: its middle lies in the core
    cut: np.ndarray  # (v,) bool: an edge of the tile cuts it

    @classmethod
    def of(cls, tile: Tile, tiling: Tiling, number: int) -> 'Views':
        """All segments of one tile."""
        window, core, n = tiling.windows[number], tiling.cores[number], len(tile) + 1
        runs = find_runs(tile.index)
        rows, columns = np.divmod(runs.starts, tile.index.shape[1])
        areas = np.bincount(runs.values, runs.lengths, n).clip(min=1)
        y = np.bincount(runs.values, rows * runs.lengths, n) / areas + window.top
        x = np.bincount(runs.values, (columns + (runs.lengths - 1) / 2) * runs.lengths, n)
        x = x / areas + window.left
        at_home = (core.top <= y) & (y < core.bottom) & (core.left <= x) & (x < core.right)
        cut = np.zeros(n, bool)
        edges = tile.index[0], tile.index[:, 0], tile.index[-1], tile.index[:, -1]
        for edge, place, end in zip(edges, window, (0, 0, *tiling.shape), strict=True):
            if place != end:
                cut[edge] = True
        in_core = np.bincount(tile.index[core.inside(window)].ravel(), minlength=n)
        return cls(tile.labels, tile.scores, in_core[1:], at_home[1:], cut[1:])


def count_overlap(
    a: np.ndarray, b: np.ndarray, shape: tuple[int, int], weights: np.ndarray | None = None
) -> np.ndarray:
    """Pixels, or the sum of their weights, of each pair of values of two (h, w) maps: an array of
    ``shape``.
    """
    codes = a.astype(np.int64) * shape[1] + b
    weights = weights if weights is None else weights.ravel()
    return np.bincount(codes.ravel(), weights, shape[0] * shape[1]).reshape(shape)
