"""Quality of videos, frame by frame: VPQ, STQ and how often an object changes its number."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .panoptic_quality import (
    Segment,
    class_quality,
    count_matching,
    count_pairs,
    match_segments,
    mean_quality,
)

Segments = Mapping[int, Segment]


class _Frame(NamedTuple):
    """What is kept of a frame; several, put together, look the same."""

    pairs: np.ndarray  # (n, 2) int64 of count_pairs
    pixels: np.ndarray  # (n,) int64
    gt_segments: Segments
    pred_segments: Segments


class VideoQuality:
    """VPQ (Kim et al., Video Panoptic Segmentation, CVPR 2020) and STQ (Weber et al., STEP, 2021).

    VPQ is the PQ of tubes: the pixels of an id in each ``k`` frames that follow each other, counted
    as panopticapi counts segments; VPQ is the mean over the windows k. STQ is the geometric mean of
    SQ, the mIoU of the classes over all pixels, and AQ, which says how well the pixels of a thing
    keep one id, whatever its class: the sum over predictions p of ``|p and g| * IoU(p, g) / |g|``,
    as a mean over the things g of the ground truth, each in the whole video. Void and crowds do not
    count in AQ.

    What is kept are the counts of the longest window, and of each id of a video.

    Args:
        is_thing: (C,) of each label.
        windows: numbers of frames.
    """

    def __init__(self, is_thing: Sequence[bool], windows: Sequence[int] = (1, 5, 10, 15)) -> None:
        self._is_thing = np.append(np.asarray(is_thing, bool), False)  # the last one: void
        self._statistics = {k: np.zeros((len(is_thing), 4)) for k in windows}
        self._confusion = np.zeros((len(is_thing) + 1,) * 2, np.int64)  # ground truth in the rows
        self._association, self._num_tubes = 0.0, 0
        self.switches = 0  # a thing was found under another id than when it was found last
        self.matches = 0  # how often a thing was found
        self._begin_video()

    def _begin_video(self) -> None:
        self._frames: deque[_Frame] = deque(maxlen=max(self._statistics))
        self._known: tuple[dict, dict] = {}, {}
        self._tubes: Counter[tuple[int, int]] = Counter()  # pixels of pairs of ids, 0: no thing
        self._last: dict[int, int] = {}

    def add(
        self, gt: np.ndarray, gt_segments: Segments, pred: np.ndarray, pred_segments: Segments
    ) -> None:
        """The next frame: (H, W) maps of ids, as of :func:`count_pairs`, and what the ids are.

        The ids of a video stay: ValueError where one has another class than before.
        """
        for known, segments in zip(self._known, (gt_segments, pred_segments), strict=True):
            for key, segment in segments.items():
                if known.setdefault(key, segment) != segment:
                    raise ValueError(
                        f'id {key} of a video is {segment} after it was {known[key]}: the id of a '
                        'segment has to stand for one object in all frames'
                    )
        frame = _Frame(*count_pairs(gt, pred), gt_segments, pred_segments)
        self._frames.append(frame)
        for k, statistics in self._statistics.items():
            if len(self._frames) >= k:
                matching = match_segments(*_joined(list(self._frames)[-k:]))
                statistics += count_matching(matching, len(statistics))
        self._count_switches(frame)
        self._count_tubes(frame)

    def _count_switches(self, frame: _Frame) -> None:
        matching = match_segments(*frame)
        gt_ids, pred_ids = list(frame.gt_segments), list(frame.pred_segments)
        for row, column in zip(matching.rows.tolist(), matching.columns.tolist(), strict=True):
            if self._is_thing[matching.gt_labels[row]]:
                key, found = gt_ids[row], pred_ids[column]
                self.matches += 1
                self.switches += self._last.get(key, found) != found
                self._last[key] = found

    def _count_tubes(self, frame: _Frame) -> None:
        void = Segment(len(self._is_thing) - 1)
        for (gt_id, pred_id), pixels in zip(
            frame.pairs.tolist(), frame.pixels.tolist(), strict=True
        ):
            gt = frame.gt_segments.get(gt_id, void)
            pred = frame.pred_segments.get(pred_id, void)
            self._confusion[gt.label, pred.label] += pixels
            if gt != void and not gt.is_crowd:
                is_thing = self._is_thing[gt.label], self._is_thing[pred.label]
                self._tubes[gt_id * is_thing[0], pred_id * is_thing[1]] += pixels

    def end_video(self) -> None:
        """The next frame is of another video."""
        sizes: tuple[Counter, Counter] = Counter(), Counter()
        for pair, pixels in self._tubes.items():
            for size, key in zip(sizes, pair, strict=True):
                size[key] += pixels
        for (gt_id, pred_id), common in self._tubes.items():
            if gt_id and pred_id:
                union = sizes[0][gt_id] + sizes[1][pred_id] - common
                self._association += common * common / union / sizes[0][gt_id]
        self._num_tubes += len(set(sizes[0]) - {0})
        self._begin_video()

    def compute(self) -> dict[str, float]:
        """``VPQ``, ``VPQ_1`` and so on for the windows, ``STQ``, ``AQ``, ``SQ``, in [0, 1].

        Of the videos that ended; nan where there is nothing to measure.
        """
        vpq = {
            f'VPQ_{k}': float(mean_quality(class_quality(statistics))[0][0])
            for k, statistics in self._statistics.items()
        }
        confusion = self._confusion[:-1]
        common = confusion.diagonal()
        unions = confusion.sum(1) + confusion.sum(0)[:-1] - common
        sq = float((common[unions > 0] / unions[unions > 0]).mean()) if unions.any() else np.nan
        aq = self._association / self._num_tubes if self._num_tubes else np.nan
        mean = (
            float(np.nanmean(list(vpq.values())))
            if not all(map(np.isnan, vpq.values()))
            else np.nan
        )
        return dict(VPQ=mean, **vpq, STQ=(aq * sq) ** 0.5, AQ=aq, SQ=sq)


def _joined(frames: Sequence[_Frame]) -> _Frame:
    """Several frames as one: an id has the pixels of all."""
    if len(frames) == 1:
        return frames[0]
    pairs, place = np.unique(np.concatenate([x.pairs for x in frames]), axis=0, return_inverse=True)
    pixels = np.bincount(place.ravel(), np.concatenate([x.pixels for x in frames])).astype(np.int64)
    gt, pred = {}, {}
    for frame in frames:
        gt.update(frame.gt_segments)
        pred.update(frame.pred_segments)
    return _Frame(pairs, pixels, gt, pred)
