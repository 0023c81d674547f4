"""The numbers of a report: each image is measured in a process, and only sums are kept."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mmpfcn.evaluation.panoptic_maps import check_sizes, read_ground_truth
from mmpfcn.evaluation.panoptic_quality import (
    Matching,
    Segment,
    class_quality,
    count_matching,
    count_pairs,
    match_segments,
    mean_quality,
)
from mmpfcn.evaluation.segment_errors import (
    count_kinds,
    missed_kinds,
    size_statistics,
    taken_for,
    wrong_kinds,
)

from .predictions import PredictedMap, Prediction


class Job(NamedTuple):
    """An image of a data set: its place, its record, and the prediction for it."""

    index: int
    record: dict
    prediction: Prediction


class Comparison(NamedTuple):
    """Ground truth (H, W) with its segments by id, the prediction, and how they match."""

    gt: np.ndarray
    gt_segments: dict[int, Segment]
    pred: PredictedMap
    matching: Matching


class Score(NamedTuple):
    """What is kept of an image."""

    index: int  # in the data set
    quality: float  # PQ in [0, 1], mean over the classes in the image; nan without a segment
    num_matches: int  # true positives
    num_errors: int  # false positives and false negatives


class Sums(NamedTuple):
    """Of one image, or of many."""

    statistics: np.ndarray  # (C, 4), columns as :data:`STATISTICS`
    sizes: np.ndarray  # (len(SIZES), C, 4), the same for segments of each size
    missed: np.ndarray  # (C, len(KINDS)) kinds of missed segments
    wrong: np.ndarray  # (C, len(KINDS)) kinds of wrong predictions
    # (C, C + 1) segments of a class that were taken for a class, or for nothing
    confusion: np.ndarray


class Comparer(NamedTuple):
    """Compares predictions with the ground truth."""

    is_thing: tuple[bool, ...]  # (C,) of each label
    backend_args: dict | None  # of mmengine's file client, for the ground truth

    def compare(self, job: Job) -> Comparison:
        """Read both maps of an image and match their segments.

        OSError or ValueError where a file is missing or broken, or they do not fit each other.
        """
        gt, gt_segments = read_ground_truth(job.record, self.is_thing, self.backend_args)
        pred = job.prediction.load()
        check_sizes(gt, pred.ids, job.record)
        matching = match_segments(*count_pairs(gt, pred.ids), gt_segments, pred.segments)
        return Comparison(gt, gt_segments, pred, matching)

    def measure(self, job: Job) -> tuple[Score, Sums]:
        """The numbers of an image; raises as :meth:`compare`."""
        matching, num_classes = self.compare(job).matching, len(self.is_thing)
        confusion = np.zeros((num_classes, num_classes + 1), np.int64)
        taken = taken_for(matching, num_classes)
        counted = taken >= 0
        np.add.at(confusion, (matching.gt_labels[counted], taken[counted]), 1)
        sums = Sums(
            count_matching(matching, num_classes),
            size_statistics(matching, num_classes),
            count_kinds(matching.gt_labels, missed_kinds(matching), num_classes),
            count_kinds(matching.pred_labels, wrong_kinds(matching), num_classes),
            confusion,
        )
        quality, _ = mean_quality(class_quality(sums.statistics))
        _, tp, fp, fn = sums.statistics.sum(0)
        return Score(job.index, float(quality[0]), int(tp), int(fp + fn)), sums


def add_up(measured: Iterable[tuple[Score, Sums]]) -> tuple[list[Score], Sums]:
    """Scores of all images, one at least, and the sum of their numbers."""
    scores, total = [], None
    for score, sums in measured:
        scores.append(score)
        total = sums if total is None else Sums(*map(np.add, total, sums))
    return scores, total


def worst_and_best(scores: Sequence[Score], number: int) -> tuple[list[Score], list[Score]]:
    """So many images of the lowest PQ, and of the highest, at most half of all each.

    Of equal PQ those with more segments come first, for they tell more. Images without a segment
    are in neither.
    """
    scores = [score for score in scores if not np.isnan(score.quality)]
    worst = sorted(scores, key=lambda score: (score.quality, -score.num_errors))
    best = sorted(scores, key=lambda score: (-score.quality, -score.num_matches))
    number = min(number, (len(scores) + 1) // 2)
    worst = worst[:number]
    return worst, [score for score in best if score not in worst][:number]


def most_confused(confusion: np.ndarray, number: int) -> list[tuple[int, int, int]]:
    """(label, taken, count) of so many pairs of different classes that are confused most.

    These are segments of a class whose pixels were mostly predicted as that of ``taken``;
    ``confusion`` is (C, C + 1) of :class:`Sums`.
    """
    wrong = confusion[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind='stable')[:number]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [(int(a), int(b), int(wrong[a, b])) for a, b in pairs if wrong[a, b]]


def matrix_labels(confusion: np.ndarray, number: int) -> list[int]:
    """At most so many labels for a matrix: all, or those that are confused most, in order."""
    if len(confusion) <= number:
        return list(range(len(confusion)))
    labels: list[int] = []
    for *pair, _ in most_confused(confusion, confusion.size):
        new = [label for label in pair if label not in labels]
        if len(labels) + len(new) > number:
            break
        labels += new
    return sorted(labels)
