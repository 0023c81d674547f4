"""Matched and counted by hand; against panopticapi: test_panoptic_quality_metric.py."""

import numpy as np
import pytest

from mmpfcn.evaluation.panoptic_quality import (
    CHUNK_PIXELS,
    Segment,
    class_quality,
    count_matching,
    count_pairs,
    match_segments,
    mean_quality,
)


@pytest.mark.parametrize('dtype', [np.int32, np.int64])
def test_count_pairs_over_chunks(dtype):
    rng = np.random.default_rng(0)
    gt = rng.integers(0, 3, (5, CHUNK_PIXELS // 4)) * 2**22
    pred = rng.integers(-2, 2, gt.shape)
    pairs, pixels = count_pairs(gt.astype(dtype), pred.astype(dtype))
    expected = np.unique(np.stack([gt.ravel(), pred.ravel()], 1), axis=0, return_counts=True)
    assert pairs.tolist() == expected[0].tolist() and pixels.tolist() == expected[1].tolist()


def test_two_classes_by_hand():
    """A match with IoU 3 / 4, one segment too many, and a class that is not there."""
    gt, pred = np.array([[1, 1, 1, 2, 2, 0]]), np.array([[5, 5, 5, 5, 6, 6]])
    truth = {1: Segment(0), 2: Segment(1)}
    found = {5: Segment(0), 6: Segment(2)}
    statistics = count_matching(match_segments(*count_pairs(gt, pred), truth, found), 4)
    # IoU, TP, FP, FN
    assert statistics.tolist() == [[0.75, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    quality = class_quality(statistics)
    np.testing.assert_allclose(quality[:3], [[0.75, 0.75, 1], [0, 0, 0], [0, 0, 0]])
    assert np.isnan(quality[3]).all()
    mean, seen = mean_quality(quality)
    assert seen == 3
    np.testing.assert_allclose(mean, [0.25, 0.25, 1 / 3])
