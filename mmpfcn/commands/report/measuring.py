"""The numbers of a report: each image is measured in a process, and only sums are kept."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mmpfcn.evaluation import panoptic_quality as pq
from mmpfcn.evaluation import segment_errors as errors
from mmpfcn.evaluation.panoptic_maps import check_sizes, read_ground_truth

from .predictions import PredictedMap, Prediction


class Job(NamedTuple):
    """An image of a data set: its place, its record, and the prediction for it."""

    index: int
    record: dict
    prediction: Prediction
    backend_args: dict | None  # of mmengine's file client, for the ground truth


class Comparison(NamedTuple):
    """Ground truth (H, W) with its segments by id, the prediction, and how they match."""

    gt: np.ndarray
    gt_segments: dict[int, pq.Segment]
    pred: PredictedMap
    matching: pq.Matching


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

    def compare(self, job: Job) -> Comparison:
        """Read both maps of an image and match their segments.

        OSError or ValueError where a file is missing or broken, or they do not fit each other.
        """
        gt, gt_segments = read_ground_truth(job.record, self.is_thing, job.backend_args)
        pred = job.prediction.load()
        check_sizes(gt, pred.ids, job.record)
        matching = pq.match_segments(*pq.count_pairs(gt, pred.ids), gt_segments, pred.segments)
        return Comparison(gt, gt_segments, pred, matching)

    def measure(self, job: Job) -> tuple[Score, Sums]:
        """The numbers of an image; raises as :meth:`compare`."""
        matching, num_classes = self.compare(job).matching, len(self.is_thing)
        confusion = np.zeros((num_classes, num_classes + 1), np.int64)
        taken = errors.taken_for(matching, num_classes)
        counted = taken >= 0
        np.add.at(confusion, (matching.gt_labels[counted], taken[counted]), 1)
        missed, wrong = errors.missed_kinds(matching), errors.wrong_kinds(matching)
        sums = Sums(
            pq.count_matching(matching, num_classes),
            errors.size_statistics(matching, num_classes),
            errors.count_kinds(matching.gt_labels, missed, num_classes),
            errors.count_kinds(matching.pred_labels, wrong, num_classes),
            confusion,
        )
        quality, _ = pq.mean_quality(pq.class_quality(sums.statistics))
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
