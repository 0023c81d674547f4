"""Things that are larger than a tile, as the whole image made small shows them."""

from typing import NamedTuple

import cv2
import numpy as np

from ..formats.label_map import segment_boxes
from .tile import Tile, Views, count_overlap
from .tiling import Tiling, Window

MIN_CELLS = 8  # of a side of the whole thing
MIN_PART = 9  # cells, of what is judged by them
MAX_OTHERS = 0.4  # of a large thing, that whole things of the tiles may cover


class LargeThings(NamedTuple):
    """K things of the overview that are longer or higher than half a tile.

    And than :data:`MIN_CELLS` of its cells: it has not seen smaller ones well.
    """

    labels: np.ndarray  # (K,) int64
    scores: np.ndarray  # (K,) float64
    areas: np.ndarray  # (K,) float64, pixels of the image
    index: np.ndarray  # (h, w) uint16, cells of the overview: k + 1 on the k-th
    inner: np.ndarray  # likewise, without the cells along its outline
    certain: np.ndarray  # ``inner`` without those at the edges of the image, where a thing may end
    shape: tuple[int, int]  # of the image

    @classmethod
    def of(cls, overview: Tile, tiling: Tiling, num_things_classes: int) -> 'LargeThings':
        """Those of a prediction for the whole image, made as small as a tile."""
        cell = np.divide(tiling.shape, overview.index.shape)  # in pixels
        boxes = segment_boxes(overview.index, len(overview))
        cells = boxes[:, 2:] - boxes[:, :2]
        large = (cells * cell[::-1] > tiling.tile / 2) & (cells > MIN_CELLS)
        large = large.any(1) & (overview.labels < num_things_classes)
        numbers = np.zeros(len(overview) + 1, np.uint16)
        numbers[1:][large] = np.arange(1, large.sum() + 1)
        index = numbers[overview.index]
        square = np.ones((3, 3), np.uint8)
        inner = np.where(cv2.erode(index, square) == cv2.dilate(index, square), index, 0)
        certain = inner.copy()
        certain[[0, -1]] = certain[:, [0, -1]] = 0
        areas = np.bincount(index.ravel(), minlength=large.sum() + 1)[1:] * cell.prod()
        labels, scores = overview.labels[large], overview.scores[large]
        return cls(labels, scores, areas, index, inner, certain, tiling.shape)

    def part(self, index: np.ndarray, window: Window) -> np.ndarray:
        """``index``, ``inner`` or ``certain`` on the pixels of a window."""
        sides = zip((window[0::2], window[1::2]), self.shape, index.shape, strict=True)
        rows, columns = (np.arange(*span) * cells // size for span, size, cells in sides)
        return index[rows][:, columns]

    def parts(
        self, tile: Tile, views: Views, window: Window, is_thing: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a tile has of them; parts of less than :data:`MIN_PART` cells are left alone.

        A thing is a piece of a large one where half of it lies in that, and it scores less, or the
        overview would have shown it, or an edge of the tile cuts it and it is a quarter of what the
        tile should have of the large one: what is seen of a large thing in a tile looks like this
        and that. A large thing is overlooked where the tile has things on less than half of it, and
        no small one as a whole that scores as much.

        Returns:
            (m, 2) pairs of a segment and the large thing it is a piece of, from 0; (K,) bool: the
            overlooked; (K,) pixels of things in the core that lie in it as a whole and are too
            small for the overview, those that score less in proportion.
        """
        shape = len(tile) + 1, len(self.labels) + 1
        overlap, certain = (
            count_overlap(tile.index, self.part(cells, window), shape)
            for cells in (self.inner, self.certain)
        )
        cell = np.prod(self.shape) / self.index.size
        enough, visible = MIN_PART * cell, overlap[1:, 1:] >= MIN_CELLS**2 * cell
        inside, asked = overlap[1:, 1:], overlap[:, 1:].sum(0)
        mostly = is_thing[:, None] & (inside > 0) & (2 * inside >= overlap[1:].sum(1)[:, None])
        sureness = np.minimum(tile.scores[:, None] / self.scores.clip(min=1e-9), 1)
        cut, unsure = views.cut[:, None], sureness < 1
        pieces = mostly & (unsure | visible | cut & (inside >= enough) & (4 * inside >= asked))
        others = mostly & ~cut & ~visible
        seen, expected = certain[1:, 1:][is_thing].sum(0), certain[:, 1:].sum(0)
        overlooked = (2 * seen < expected) & (expected >= enough)
        overlooked &= ~(others & ~unsure).any(0)
        return np.argwhere(pieces), overlooked, views.areas @ (others * sureness)

    def credible(self, others: np.ndarray) -> np.ndarray:
        """(K,) bool: those in which tiles see few things as a whole, ``others`` (K,) in all.

        Many small things look like a large one where they are made small.
        """
        return others <= MAX_OTHERS * self.areas
