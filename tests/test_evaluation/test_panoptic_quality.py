"""Matched and counted by hand; against panopticapi: test_panoptic_quality_metric.py."""

import numpy as np
import pytest

from mmpfcn.evaluation import panoptic_quality as pq


@pytest.mark.parametrize('dtype', [np.int32, np.int64])
def test_count_pairs_over_chunks(dtype):
    rng = np.random.default_rng(0)
    gt = rng.integers(0, 3, (5, pq.CHUNK_PIXELS // 4)) * 2**22
    pred = rng.integers(-2, 2, gt.shape)
    pairs, pixels = pq.count_pairs(gt.astype(dtype), pred.astype(dtype))
    expected = np.unique(np.stack([gt.ravel(), pred.ravel()], 1), axis=0, return_counts=True)
    assert pairs.tolist() == expected[0].tolist() and pixels.tolist() == expected[1].tolist()


def test_two_classes_by_hand():
    """A match with IoU 3 / 4, one segment too many, and a class that is not there."""
    gt, pred = np.array([[1, 1, 1, 2, 2, 0]]), np.array([[5, 5, 5, 5, 6, 6]])
    truth = {1: pq.Segment(0), 2: pq.Segment(1)}
    found = {5: pq.Segment(0), 6: pq.Segment(2)}
    statistics = pq.count_matching(pq.match_segments(*pq.count_pairs(gt, pred), truth, found), 4)
    # IoU, TP, FP, FN
    assert statistics.tolist() == [[0.75, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    quality = pq.class_quality(statistics)
    np.testing.assert_allclose(quality[:3], [[0.75, 0.75, 1], [0, 0, 0], [0, 0, 0]])
    assert np.isnan(quality[3]).all()
    mean, seen = pq.mean_quality(quality)
    assert seen == 3
    np.testing.assert_allclose(mean, [0.25, 0.25, 1 / 3])
