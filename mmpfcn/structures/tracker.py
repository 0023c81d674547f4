"""Things of a video keep their numbers: those of a frame are matched with those seen before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_utils
from scipy.optimize import linear_sum_assignment

GRID_PIXELS = 2**15  # of the grid on which masks are compared, at most
MIN_IOU = 0.2  # of a mask and its successor, unless they look alike and are near
MIN_COSINE = 0.8  # of kernels that look alike
SMALL = 16  # places of the grid; of a mask with fewer its box says more
REACH = 2.5  # how far a thing may be from where it is expected, in square roots of its area
NEARNESS = 0.1  # what it counts for beside overlap and cosine that a thing is where it is expected
KERNEL_RATE, SPEED_RATE = 0.2, 0.5  # how much of a track is of the last frame


@dataclass
class Track:
    """A thing that was seen in a frame before; places are those of the grid."""

    number: int
    label: int
    kernel: np.ndarray  # (E,) float64 of length 1, mean over the frames
    pixels: np.ndarray  # (n,) int64 where it was, in the flattened grid
    box: np.ndarray  # (4,) float64 y, x, height, width
    center: np.ndarray  # (2,) y, x, the mean of its pixels; of a small one the middle of its box
    speed: np.ndarray  # (2,) y, x, of a frame
    lost: int = 0  # frames in which it was not seen since


class Tracker:
    """Gives the things of each frame numbers that stay with them.

    A thing is a successor of one of its class that lies where it was, or where its motion has taken
    it, or that looks alike (the cosine of their kernels) and is near. Of all ways to match the
    things of a frame the one with the largest sum of overlap and cosine is taken. What is not seen
    is remembered for some frames. Memory and time do not grow with the video.

    Args:
        memory: for how many frames.
    """

    def __init__(self, memory: int = 60) -> None:
        self.memory = memory
        self._count = 0  # of numbers given so far
        self._tracks: list[Track] = []
        self._shape = (0, 0)  # of the grid

    def update(
        self, index: np.ndarray, segments: Sequence[Mapping], kernels: np.ndarray
    ) -> list[int]:
        """Numbers of the segments of the next frame, from 1; 0 for stuff.

        Args:
            index: (H, W) of :func:`segment_index`; of one size in all frames, otherwise all begins
                anew.
            segments: ``label``, ``isthing`` and ``bbox`` [x, y, width, height] of each.
            kernels: (n, E), of each.
        """
        rows = [row for row, segment in enumerate(segments) if segment['isthing']]
        boxes = np.array([segments[row]['bbox'] for row in rows], np.float64).reshape(-1, 4)
        index, step = _on_grid(index, segments, rows)
        if index.shape != self._shape:
            self._tracks, self._shape = [], index.shape
        labels = [segments[row]['label'] for row in rows]
        found = self._find(index, boxes[:, [1, 0, 3, 2]] / step, labels, kernels[rows])
        pairs = self._match(found, index)
        for old, new in pairs:
            found[new] = self._tracks[old] = _continued(self._tracks[old], found[new])
        for track in found:
            if not track.number:
                self._count += 1
                track.number = self._count
                self._tracks.append(track)
        seen = {track.number for track in found}
        for track in self._tracks:
            track.lost += track.number not in seen
        self._tracks = [track for track in self._tracks if track.lost <= self.memory]
        numbers = [0] * len(segments)
        for row, track in zip(rows, found, strict=True):
            numbers[row] = track.number
        return numbers

    def _find(
        self, index: np.ndarray, boxes: np.ndarray, labels: Sequence[int], kernels: np.ndarray
    ) -> list[Track]:
        """The things of a frame, without numbers."""
        pixels = np.flatnonzero(index)
        values = index.ravel()[pixels]
        pixels = pixels[values.argsort(kind='stable')]
        areas = np.bincount(values, minlength=len(labels) + 1)[1:]
        ends, places = areas.cumsum(), np.divmod(pixels, index.shape[1])
        sums = [np.append(0, place.cumsum()) for place in places]
        sums = np.stack([sum_[ends] - sum_[ends - areas] for sum_ in sums], axis=1)
        centers = sums / areas.clip(min=1)[:, None]
        centers = np.where(areas[:, None] < SMALL, boxes[:, :2] + boxes[:, 2:] / 2, centers)
        directions = _normalized(kernels.astype(np.float64))
        return [
            Track(0, label, kernel, pixels[end - area : end], box, center, np.zeros(2))
            for label, kernel, area, end, box, center in zip(
                labels, directions, areas.tolist(), ends.tolist(), boxes, centers, strict=True
            )
        ]

    def _match(self, found: Sequence[Track], index: np.ndarray) -> list[tuple[int, int]]:
        """Rows of known tracks and of those found that belong together."""
        old = self._tracks
        if not old or not found:
            return []
        shifts = np.array([track.speed * (track.lost + 1) for track in old])
        still = _overlap(old, found, index, np.zeros_like(shifts))
        iou = np.maximum(still, _overlap(old, found, index, shifts))
        cosine = np.array([x.kernel for x in old]) @ np.array([x.kernel for x in found]).T
        expected = np.array([x.center for x in old]) + shifts
        away = np.linalg.norm(expected[:, None] - np.array([x.center for x in found]), axis=2)
        reach = REACH * np.sqrt([len(x.pixels) for x in old])[:, None]
        near = away <= reach
        same_class = np.equal.outer([x.label for x in old], [x.label for x in found])
        allowed = same_class & ((iou >= MIN_IOU) | (near & (cosine >= MIN_COSINE)))
        merit = iou + cosine.clip(min=0) + NEARNESS * (1 - away / reach).clip(min=0)
        merit = np.where(allowed, merit, 0)
        pairs = np.transpose(linear_sum_assignment(merit, maximize=True)).tolist()
        return [(a, b) for a, b in pairs if allowed[a, b]]

    def state(self) -> dict:
        """All that is known, as plain values for JSON; see :meth:`from_state`."""
        tracks = [
            {key: np.asarray(value).tolist() for key, value in vars(track).items()}
            | dict(pixels=_runs(track.pixels))
            for track in self._tracks
        ]
        return dict(memory=self.memory, count=self._count, shape=self._shape, tracks=tracks)

    @classmethod
    def from_state(cls, state: Mapping) -> 'Tracker':
        """A tracker that goes on as the one would whose :meth:`state` it was."""
        tracker = cls(state['memory'])
        tracker._count, tracker._shape = state['count'], tuple(state['shape'])
        for track in state['tracks']:
            arrays = {
                key: np.array(track[key], np.float64)
                for key in ('kernel', 'box', 'center', 'speed')
            }
            starts, lengths = np.array(track['pixels'], np.int64)
            offsets = np.repeat(starts - lengths.cumsum() + lengths, lengths)
            arrays['pixels'] = offsets + np.arange(lengths.sum())
            tracker._tracks.append(Track(**{**track, **arrays}))
        return tracker


def _on_grid(
    index: np.ndarray, segments: Sequence[Mapping], rows: Sequence[int]
) -> tuple[np.ndarray, int]:
    """A coarser index of the segments in these rows, each of which has a pixel at least; pixels
    of the image in a step of it.
    """
    step = int(np.ceil((index.size / GRID_PIXELS) ** 0.5))
    numbers = np.zeros(len(segments) + 1, np.uint16)
    numbers[np.array(rows, np.int64) + 1] = np.arange(1, len(rows) + 1)
    grid = numbers[index[::step, ::step]]
    areas = np.bincount(grid.ravel(), minlength=len(rows) + 1)
    areas[0] = grid.size  # what is no thing can be taken
    small = [(segments[rows[i - 1]]['bbox'], i) for i in np.flatnonzero(areas == 0).tolist()]
    for (x, y, width, height), number in sorted(small):  # the same places whatever their order
        place = (y + height // 2) // step, (x + width // 2) // step
        if areas[grid[place]] == 1:  # all that there is of another
            free = np.argwhere(areas[grid] > 1)
            place = tuple(free[np.square(free - place).sum(1).argmin()])
        areas[grid[place]] -= 1
        areas[number], grid[place] = 1, number
    return grid, step


def _runs(pixels: np.ndarray) -> list[list[int]]:
    """Starts and lengths of the parts of ascending places that follow each other."""
    first = np.flatnonzero(np.diff(pixels, prepend=-2) != 1)
    return [pixels[first].tolist(), np.diff(first, append=len(pixels)).tolist()]


def _normalized(vectors: np.ndarray) -> np.ndarray:
    """With length 1; zeros stay."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(min=1e-12)


def _overlap(
    old: Sequence[Track], found: Sequence[Track], index: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """(m, n) IoU of the masks of the old ones, each shifted by y, x, and of those found.

    Where one of them is small, of their boxes.
    """
    boxes = np.array([track.box for track in old]) + np.pad(shifts, ((0, 0), (0, 2)))
    of_boxes = mask_utils.iou(boxes, np.array([track.box for track in found]), [0] * len(found))
    sizes, sizes_found = ([len(track.pixels) for track in tracks] for tracks in (old, found))
    is_small = np.minimum.outer(sizes, sizes_found) < SMALL
    shifts = np.rint(shifts).astype(np.int64)
    owners = np.repeat(np.arange(len(old)), sizes)
    y, x = np.divmod(np.concatenate([track.pixels for track in old]), index.shape[1])
    y, x = y + shifts[owners, 0], x + shifts[owners, 1]
    inside = (y >= 0) & (y < index.shape[0]) & (x >= 0) & (x < index.shape[1])
    owners, values = owners[inside], index[y[inside], x[inside]].astype(np.int64)
    columns = len(found) + 1
    common = np.bincount(owners * columns + values, minlength=len(old) * columns)
    common = common.reshape(len(old), columns)[:, 1:]
    union = np.add.outer(sizes, sizes_found) - common
    return np.where(is_small, of_boxes, common / union.clip(min=1))


def _continued(old: Track, new: Track) -> Track:
    """A track after it was seen again; a frame without it counts in ``lost``."""
    moved = (new.center - old.center) / (old.lost + 1)
    speed = old.speed + SPEED_RATE * (moved - old.speed)
    kernel = _normalized(old.kernel + KERNEL_RATE * (new.kernel - old.kernel))
    return Track(old.number, old.label, kernel, new.pixels, new.box, new.center, speed)
