"""One panoptic map from the predictions of overlapping tiles.

Two views of one thing agree where both tiles see it: their masks overlap in the strip that the
tiles share, and their kernels point the same way. The pixels of that strip count the more, the
farther they are from the edges of both tiles.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..formats.label_map import Runs, find_runs
from .large_things import LargeThings
from .tile import Tile, Views, count_overlap
from .tiling import Tiling, Window

MIN_AGREEMENT = 0.4
"""Least overlap (intersection over union) times cosine of two views of one thing."""

CACHED_TILES = 12  # those around a tile, and a few
DROPPED = -1


def agreeing(
    a: Tile, b: Tile, index_a: np.ndarray, index_b: np.ndarray, trust: np.ndarray
) -> np.ndarray:
    """(m, 2) pairs of a segment of ``a`` and one of ``b``, from 0, that agree.

    ``index_a``, ``index_b`` (h, w) are the part of their maps that both tiles see, ``trust`` (h, w)
    are weights of its pixels.
    """
    overlap = count_overlap(index_a, index_b, (len(a) + 1, len(b) + 1), trust)
    union = overlap.sum(1, keepdims=True) + overlap.sum(0) - overlap
    iou = (overlap / np.maximum(union, 1e-9))[1:, 1:]
    rows, columns = np.nonzero(iou >= MIN_AGREEMENT)
    x, y = a.kernels[rows], b.kernels[columns]
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosine = (x * y).sum(1) / np.maximum(lengths, 1e-12)
    return np.stack([rows, columns], 1)[iou[rows, columns] * cosine >= MIN_AGREEMENT]


class JoinedTiles:
    """The panoptic map of a large image, core by core, and its segments.

    A view of a thing counts if the middle of what the tile sees of it lies in the core of the tile,
    or if an edge of the tile cuts it. Views that agree are one thing. A pixel is what the tile
    says to whose core it belongs; where that is a thing of which no view counts, what a neighbour
    says. Things that have their middle in a core keep the pixels beyond it where there is no other
    thing. Stuff is one segment for each class.

    Args:
        tiling: where the tiles lie.
        read: gives the tile of a number; it is asked several times for each.
        num_things_classes: T; labels from T on are stuff.
        overview: what the model says about the whole image made small, for things that are larger
            than a tile.
        stuff_area_limit: stuff of less pixels in the whole image is left out.
    """

    def __init__(
        self,
        tiling: Tiling,
        read: Callable[[int], Tile],
        num_things_classes: int,
        overview: Tile,
        stuff_area_limit: int = 0,
    ) -> None:
        self.tiling, self._num_classes = tiling, num_things_classes
        self._read = lru_cache(CACHED_TILES)(read)
        self._large = LargeThings.of(overview, tiling, num_things_classes)
        large = self._large
        # every large thing and every view is a node: large things first
        self._starts = [len(large.labels)]
        views, pairs, pieces, overlooked, others = [], [np.zeros((0, 2), int)], [], [], 0
        for number, window in enumerate(tiling.windows):
            tile, start = self._read(number), self._starts[-1]
            views.append(Views.of(tile, tiling, number))
            is_thing = tile.labels < num_things_classes
            parts = large.parts(tile, views[-1], window, is_thing)
            pieces.append(parts[0] + (start, 0))
            overlooked.append(parts[1])
            others += parts[2]
            pairs += [x + (self._starts[other], start) for other, x in self._agreeing(number)]
            self._starts.append(start + len(tile))
        self._credible = credible = large.credible(others)
        self._overlooked = np.array(overlooked) & credible  # (tiles, K)
        pairs += [x[credible[x[:, 1]]] for x in pieces]
        areas = large.areas * credible
        seen = Views(large.labels, large.scores, areas, credible, np.zeros_like(credible))
        nodes = Views(*map(np.concatenate, zip(seen, *views, strict=True)))
        self._at_home = nodes.at_home
        self._give_ids(nodes, np.concatenate(pairs), stuff_area_limit)

    def _agreeing(self, number: int) -> Iterator[tuple[int, np.ndarray]]:
        """Tiles to the left and above, and :func:`agreeing` segments of theirs and this one's."""
        tiling, tile, window = self.tiling, self._read(number), self.tiling.windows[number]
        for other in tiling.before(number):
            before = self._read(other)
            strip = window.common(tiling.windows[other])
            rows, columns = map(np.minimum, tiling.trust(number, strip), tiling.trust(other, strip))
            index = tile.index[strip.inside(window)]
            index_before = before.index[strip.inside(tiling.windows[other])]
            trust = np.minimum.outer(rows, columns)
            yield other, agreeing(before, tile, index_before, index, trust)

    def _give_ids(self, nodes: Views, pairs: np.ndarray, stuff_area_limit: int) -> None:
        """Ids of nodes, things first; label and score of each id."""
        things = np.flatnonzero(nodes.labels < self._num_classes)
        stuff = np.flatnonzero(nodes.labels >= self._num_classes)
        ids = np.zeros(len(nodes.labels), np.int32)
        graph = coo_array((np.ones(len(pairs)), tuple(pairs.T)), (len(ids), len(ids)))
        groups = connected_components(graph, directed=False)[1]
        counts = np.zeros(len(ids), bool)
        np.logical_or.at(counts, groups[things], (nodes.at_home | nodes.cut)[things])
        number = np.where(counts, np.cumsum(counts), DROPPED)
        ids[things] = number[groups[things]]
        self.num_things = int(counts.sum())
        # of stuff, from the area in all cores
        areas = np.bincount(nodes.labels[stuff] - self._num_classes, nodes.areas[stuff])
        enough = areas >= max(stuff_area_limit, 1)
        number = np.where(enough, self.num_things + np.cumsum(enough), 0)
        ids[stuff] = number[nodes.labels[stuff] - self._num_classes]
        num_segments = self.num_things + int(enough.sum())
        # the largest view knows best what it is
        order = np.argsort(nodes.areas * nodes.scores, kind='stable')
        order = order[ids[order] > 0]
        self._labels = np.zeros(num_segments, int)
        self._labels[ids[order] - 1] = nodes.labels[order]
        weights = nodes.areas[order] + 1e-6
        total, sums = (
            np.bincount(ids[order] - 1, w, num_segments)
            for w in (weights, weights * nodes.scores[order])
        )
        self._scores = sums / np.maximum(total, 1e-12)
        self._ids = ids
        self._areas = np.zeros(num_segments, np.int64)
        self._boxes = np.tile([2**31, 2**31, 0, 0], (num_segments, 1))

    def blocks(self) -> Iterator[tuple[Window, np.ndarray]]:
        """The core of each tile and (h, w) int32 ids on it, 0 where there is nothing."""
        for number, core in enumerate(self.tiling.cores):
            ids = self._core(number)
            self._count(core, ids)
            yield core, ids

    def _table(self, number: int) -> np.ndarray:
        """(n + 1,) ids of 0 and the segments of a tile."""
        start, stop = self._starts[number : number + 2]
        return np.append(np.int32(0), self._ids[start:stop])

    def _is_thing(self, ids: np.ndarray) -> np.ndarray:
        return (ids > 0) & (ids <= self.num_things)

    def _core(self, number: int) -> np.ndarray:
        tiling, core = self.tiling, self.tiling.cores[number]
        index = self._read(number).index[core.inside(tiling.windows[number])]
        ids = self._table(number)[index]
        for other in tiling.around(number):
            window = tiling.windows[other]
            part = core.common(window)
            if not all(part.shape):
                continue
            index = self._read(other).index[part.inside(window)]
            start, stop = self._starts[other : other + 2]
            here, there = ids[part.inside(core)], self._table(other)[index]
            at_home = np.append(False, self._at_home[start:stop])[index]
            take = (here == DROPPED) & (there != DROPPED)
            take |= at_home & self._is_thing(there) & ~self._is_thing(here)
            here[take] = there[take]
        ids[ids == DROPPED] = 0
        self._add_large(number, ids)
        return ids

    def _add_large(self, number: int, ids: np.ndarray) -> None:
        """Large things where nothing is, and where the tile overlooked them where no thing is."""
        core, large = self.tiling.cores[number], self._large
        empty = np.append(False, self._credible)[large.part(large.certain, core)] & (ids == 0)
        index = large.part(large.index, core)
        no_thing = np.append(False, self._overlooked[number])[index] & ~self._is_thing(ids)
        take = empty | no_thing
        ids[take] = self._ids[index[take] - 1]

    def _count(self, core: Window, ids: np.ndarray) -> None:
        runs = find_runs(ids)
        runs = Runs(*(x[runs.values > 0] for x in runs))
        rows, columns = np.divmod(runs.starts, ids.shape[1])
        places, left, top = runs.values - 1, core.left + columns, core.top + rows
        np.add.at(self._areas, places, runs.lengths)
        np.minimum.at(self._boxes, (places, 0), left)
        np.minimum.at(self._boxes, (places, 1), top)
        np.maximum.at(self._boxes, (places, 2), left + runs.lengths)
        np.maximum.at(self._boxes, (places, 3), top + 1)

    def segments(self) -> Iterator[dict]:
        """After all blocks: ``id``, ``label``, ``isthing``, ``score``, ``area`` in pixels and
        ``bbox`` [x, y, width, height] of each segment that has a pixel.
        """
        columns = self._labels, self._scores.round(6), self._areas, self._boxes
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for id_, (label, score, area, (x1, y1, x2, y2)) in enumerate(rows, start=1):
            if area:
                yield dict(
                    id=id_,
                    label=label,
                    isthing=label < self._num_classes,
                    score=score,
                    area=area,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                )
