"""Panoptic quality of one image from two maps in memory, counted as panopticapi counts it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

CHUNK_PIXELS = 2**18  # looked at together: the working memory is a few MiB, whatever the maps
# columns of the statistics: sum of the IoU of the matches, and counts of segments
STATISTICS = ('iou', 'tp', 'fp', 'fn')


class Segment(NamedTuple):
    """What is known of a segment besides its pixels."""

    label: int
    is_crowd: bool = False


def count_pairs(gt: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each pair of values lies on the same pixel of two (H, W) maps.

    Values of the ground truth lie in [0, 2^31), predicted ones in [-2^31, 2^31). Neighbours mostly
    agree, so runs of equal pairs are counted and only the runs are sorted. Returns (n, 2) int64
    different pairs of values, in ascending order, and (n,) int64 pixels.
    """
    gt, pred = gt.ravel(), pred.ravel()
    counts: Counter[int] = Counter()
    for start in range(0, len(gt), CHUNK_PIXELS):
        a, b = (x[start : start + CHUNK_PIXELS] for x in (gt, pred))
        starts = np.flatnonzero(np.append(True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])))
        lengths = np.diff(starts, append=len(a))
        # a pair as one number
        keys = (a[starts].astype(np.int64) << 32) + b[starts].astype(np.int64) + 2**31
        keys, place = np.unique(keys, return_inverse=True)
        # exact in float64: an image has less than 2^53 pixels
        pixels = np.bincount(place, lengths).astype(np.int64)
        counts.update(dict(zip(keys.tolist(), pixels.tolist(), strict=True)))
    keys = np.array(sorted(counts), np.int64)
    pixels = np.array([counts[key] for key in keys.tolist()], np.int64)
    return np.stack([keys >> 32, (keys & (2**32 - 1)) - 2**31], axis=1), pixels


class Matching(NamedTuple):
    """How the segments of one image lie on each other, and which of them match.

    G segments of the ground truth, P predicted ones, M matches.
    """

    gt_labels: np.ndarray  # (G,) int64
    is_crowd: np.ndarray  # (G,) bool
    pred_labels: np.ndarray  # (P,) int64
    gt_areas: np.ndarray  # (G,) int64 pixels in the map
    pred_areas: np.ndarray  # (P,) int64 pixels in the map
    on_void: np.ndarray  # (P,) int64 pixels of the prediction on void of the ground truth
    intersection: np.ndarray  # (G, P) int64 pixels
    iou: np.ndarray  # (G, P) float64 in [0, 1], whatever the classes; void does not count
    rows: np.ndarray  # (M,) int64, matched segments of the ground truth: the true positives
    columns: np.ndarray  # (M,) int64, their predictions
    missed: np.ndarray  # (G,) bool, the false negatives
    wrong: np.ndarray  # (P,) bool, the false positives


def match_segments(
    pairs: np.ndarray,
    pixels: np.ndarray,
    gt_segments: Mapping[int, Segment],
    pred_segments: Mapping[int, Segment],
) -> Matching:
    """Match the segments of one image as panopticapi does.

    A match is a pair of one class with IoU > 0.5, where pixels of the prediction on void do not
    count. A segment of the ground truth without a match, or without a pixel, is missed, a crowd
    never. A prediction without a match is wrong unless more than half of it lies on void or on the
    crowd of its class (the last one of the class, as in panopticapi). Areas are counted in the
    maps; panopticapi takes those of the ground truth from its JSON.

    ``pairs`` and ``pixels`` are of :func:`count_pairs`, ``gt_segments`` and ``pred_segments`` value
    in the map to segment, in the order of the JSON; the rest is void.
    """
    overlap = _overlap(pairs, pixels, list(gt_segments), list(pred_segments))
    on_void = overlap[-1, :-1]
    gt_areas, pred_areas = overlap[:-1].sum(1), overlap[:, :-1].sum(0)
    intersection = overlap[:-1, :-1]
    gt_labels, is_crowd = _columns(gt_segments)
    pred_labels, _ = _columns(pred_segments)

    union = gt_areas[:, None] + (pred_areas - on_void) - intersection
    iou = intersection / np.maximum(union, 1)  # both 0 if one has no pixel, the other only void
    comparable = (gt_labels[:, None] == pred_labels) & ~is_crowd[:, None]
    rows, columns = np.nonzero(comparable & (iou > 0.5))

    missed = ~is_crowd
    missed[rows] = False
    crowd_rows = {label: row for row, label in enumerate(gt_labels.tolist()) if is_crowd[row]}
    ignored = on_void.copy()
    for column, label in enumerate(pred_labels.tolist()):
        if label in crowd_rows:
            ignored[column] += intersection[crowd_rows[label], column]
    wrong = 2 * ignored <= pred_areas
    wrong[columns] = False
    return Matching(
        gt_labels, is_crowd, pred_labels, gt_areas, pred_areas, on_void, intersection, iou,
        rows, columns, missed, wrong,
    )  # fmt: skip


def count_matching(matching: Matching, num_classes: int) -> np.ndarray:
    """(C, 4) float64 statistics of a matching, columns as :data:`STATISTICS`."""
    rows = matching.rows
    labels = (
        matching.gt_labels[rows],
        matching.gt_labels[rows],
        matching.pred_labels[matching.wrong],
        matching.gt_labels[matching.missed],
    )
    weights = (matching.iou[rows, matching.columns], None, None, None)
    counts = (np.bincount(*x, num_classes) for x in zip(labels, weights, strict=True))
    return np.stack(list(counts), axis=1).astype(np.float64)


def _overlap(
    pairs: np.ndarray, pixels: np.ndarray, gt_ids: Sequence[int], pred_ids: Sequence[int]
) -> np.ndarray:
    """Pixels of each pair of segments, (G + 1, P + 1) int64; last row and column: void."""
    places = []
    for values, ids in ((pairs[:, 0], gt_ids), (pairs[:, 1], pred_ids)):
        index = {id_: i for i, id_ in enumerate(ids)}
        places.append([index.get(value, len(ids)) for value in values.tolist()])
    overlap = np.zeros((len(gt_ids) + 1, len(pred_ids) + 1), np.int64)
    np.add.at(overlap, tuple(places), pixels)
    return overlap


def _columns(segments: Mapping[int, Segment]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) int64 and crowds (n,) bool."""
    table = np.array(list(segments.values()), np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1].astype(bool)


def class_quality(statistics: np.ndarray) -> np.ndarray:
    """PQ, SQ and RQ of each class, from its statistics (C, 4), columns as :data:`STATISTICS`.

    (C, 3) in [0, 1]; nan for classes that neither ground truth nor prediction have.
    """
    iou, tp, fp, fn = statistics.T
    segments = tp + fp / 2 + fn / 2
    segments = np.where(segments > 0, segments, np.nan)
    matches = np.where(segments > 0, np.maximum(tp, 1), np.nan)  # without a match the IoU is 0
    return np.stack([iou / segments, iou / matches, tp / segments], axis=1)


def mean_quality(quality: np.ndarray) -> tuple[np.ndarray, int]:
    """PQ, SQ, RQ in [0, 1], mean over the classes that occur, nan if none; and how many do.

    ``quality`` is (C, 3) of :func:`class_quality`.
    """
    seen = quality[~np.isnan(quality[:, 0])]
    return (seen.mean(0) if len(seen) else np.full(3, np.nan)), len(seen)
