"""What kind of error each wrong segment is, what it costs, and what it was taken for.

All of it starts from the :class:`Matching` that PQ is counted from, so the numbers agree with it.
"""

import numpy as np

from .panoptic_quality import STATISTICS, Matching, count_matching

KINDS = ('missed', 'false', 'wrong class', 'poor mask', 'merged', 'split')
MISSED, FALSE, WRONG_CLASS, POOR_MASK, MERGED, SPLIT = range(len(KINDS))
NO_ERROR = -1

POOR_IOU = 0.1  # from this on, an unmatched pair of one class is one object with a poor mask
# COCO's: area in pixels from, up to (exclusive)
SIZES = dict(small=(0, 32**2), medium=(32**2, 96**2), large=(96**2, np.inf))


def missed_kinds(matching: Matching) -> np.ndarray:
    """The kind of error of each missed segment of the ground truth.

    The first that holds. *Wrong class*: a prediction of another class has IoU > 0.5 with it.
    *Merged*: a prediction of its class covers more than half of it, and more than half of another
    segment of the class. *Split*: at least two predictions of its class lie in it with more than
    half of their area (without void), and together cover more than half of it. *Poor mask*: a
    prediction of its class has an IoU of at least :data:`POOR_IOU` with it. Otherwise *missed*.

    (G,) int64 of :data:`KINDS`; :data:`NO_ERROR` for matched segments and crowds.
    """
    same, parts = _same_class(matching), _parts(matching)
    wrong_class = _other_class(matching).any(1)
    merged = (_covers(matching) & _merges(matching)).any(1)
    covered = (matching.intersection * parts).sum(1)
    split = (parts.sum(1) > 1) & (2 * covered > matching.gt_areas)
    poor = (matching.iou * same).max(1, initial=0) >= POOR_IOU
    conditions = [~matching.missed, wrong_class, merged, split, poor]
    return np.select(conditions, [NO_ERROR, WRONG_CLASS, MERGED, SPLIT, POOR_MASK], MISSED)


def wrong_kinds(matching: Matching) -> np.ndarray:
    """The kind of error of each wrong prediction.

    The first that holds. *Wrong class*: IoU > 0.5 with a segment of another class. *Merged*: it
    covers more than half of two or more segments of its class. *Split*: more than half of it
    (without void) lies in a segment of its class, in which another prediction of the class lies
    likewise. *Poor mask*: an IoU of at least :data:`POOR_IOU` with a segment of its class.
    Otherwise *false*. Crowds are no such segments.

    (P,) int64 of :data:`KINDS`; :data:`NO_ERROR` for matched predictions and for those that PQ
    ignores because of void and crowds.
    """
    same, parts = _same_class(matching), _parts(matching)
    wrong_class = _other_class(matching).any(0)
    split = (parts & (parts.sum(1) > 1)[:, None]).any(0)
    poor = (matching.iou * same).max(0, initial=0) >= POOR_IOU
    conditions = [~matching.wrong, wrong_class, _merges(matching), split, poor]
    return np.select(conditions, [NO_ERROR, WRONG_CLASS, MERGED, SPLIT, POOR_MASK], FALSE)


def count_kinds(labels: np.ndarray, kinds: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each kind of error occurs in each class: (C, len(KINDS)) int64.

    Of segments with ``labels`` (n,) and ``kinds`` (n,), :data:`NO_ERROR` for none.
    """
    errors = kinds != NO_ERROR
    cells = labels[errors] * len(KINDS) + kinds[errors]
    return np.bincount(cells, minlength=num_classes * len(KINDS)).reshape(num_classes, -1)


def lost_quality(statistics: np.ndarray, missed: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """What keeps the PQ of each class from 1, as parts that add up to 1 - PQ.

    PQ = IoU / (TP + FP / 2 + FN / 2), so a class loses 1 - IoU for each match and 1/2 for each
    unmatched segment, all divided by the same number. ``statistics`` are (C, 4), columns as
    :data:`STATISTICS`; ``missed`` and ``wrong`` (C, len(KINDS)) of :func:`count_kinds`.

    (C, len(KINDS) + 1) in [0, 1]: by each kind, and by the masks of the matches; nan for classes
    that neither ground truth nor prediction have.
    """
    iou, tp, fp, fn = statistics.T
    losses = np.column_stack([(missed + wrong) / 2, tp - iou])
    segments = tp + fp / 2 + fn / 2
    return losses / np.where(segments > 0, segments, np.nan)[:, None]


def size_statistics(matching: Matching, num_classes: int) -> np.ndarray:
    """The statistics of the segments of each size.

    A segment of the ground truth, matched or missed, counts by its own area, a wrong prediction by
    its own area too: (len(SIZES), C, 4) float64, columns as :data:`STATISTICS`, whose sum is that
    of the image.
    """
    result = np.zeros((len(SIZES), num_classes, len(STATISTICS)))
    for number, (low, high) in enumerate(SIZES.values()):
        of_size = (low <= matching.gt_areas) & (matching.gt_areas < high)
        pred_of_size = (low <= matching.pred_areas) & (matching.pred_areas < high)
        matched = of_size[matching.rows]
        part = matching._replace(
            rows=matching.rows[matched],
            columns=matching.columns[matched],
            missed=matching.missed & of_size,
            wrong=matching.wrong & pred_of_size,
        )
        result[number] = count_matching(part, num_classes)
    return result


def taken_for(matching: Matching, num_classes: int) -> np.ndarray:
    """The class that most pixels of each segment of the ground truth were predicted as.

    (G,) int64: a label, or C where most are predicted as void (as the smaller label where there are
    equally many); -1 for crowds and segments without a pixel.
    """
    pixels = np.zeros((num_classes + 1, len(matching.gt_labels)), np.int64)
    np.add.at(pixels, matching.pred_labels, matching.intersection.T)
    pixels[num_classes] = matching.gt_areas - matching.intersection.sum(1)
    counted = ~matching.is_crowd & (matching.gt_areas > 0)
    return np.where(counted, pixels.argmax(0), -1)


def _same_class(matching: Matching) -> np.ndarray:
    """(G, P) bool."""
    return (matching.gt_labels[:, None] == matching.pred_labels) & ~matching.is_crowd[:, None]


def _other_class(matching: Matching) -> np.ndarray:
    """(G, P) bool: pairs that would match but for their classes."""
    other = (matching.gt_labels[:, None] != matching.pred_labels) & ~matching.is_crowd[:, None]
    return other & (matching.iou > 0.5)


def _covers(matching: Matching) -> np.ndarray:
    """(G, P) bool: the prediction covers more than half of a segment of its class."""
    return _same_class(matching) & (2 * matching.intersection > matching.gt_areas[:, None])


def _merges(matching: Matching) -> np.ndarray:
    """(P,) bool."""
    return _covers(matching).sum(0) > 1


def _parts(matching: Matching) -> np.ndarray:
    """(G, P) bool: more than half of the prediction lies in a segment of its class."""
    areas = matching.pred_areas - matching.on_void
    return _same_class(matching) & (2 * matching.intersection > areas)
