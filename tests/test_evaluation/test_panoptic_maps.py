"""Values of a predicted map as segments; what is wrong: test_panoptic_quality_metric.py."""

import numpy as np
import pytest
import torch
from mmdet.evaluation import INSTANCE_OFFSET

from mmpfcn.evaluation.panoptic_maps import as_map, predicted_scores, predicted_segments
from mmpfcn.evaluation.panoptic_quality import Segment


def test_segments_and_scores():
    values = np.array([0, 1 + 2 * INSTANCE_OFFSET, 3, 255])
    sample = dict(pred_panoptic_seg=dict(ignore_index=255))
    found = predicted_segments(values, sample, num_classes=3)
    assert found == {0: Segment(0), 1 + 2 * INSTANCE_OFFSET: Segment(1)}
    sample = dict(pred_panoptic_seg=dict(segments_info=[dict(id=5, score=0.5), dict(id=7)]))
    assert predicted_scores(sample, {5: Segment(5), 7: Segment(7)}, 9) == {5: 0.5}
    assert predicted_scores(dict(pred_panoptic_seg={}), {5: Segment(5)}, 9) == {}
    with pytest.raises(ValueError, match='has the value 6, which is none of its segments_info'):
        predicted_scores(sample, {6: Segment(6)}, 9)
    sem_seg = torch.zeros(1, 2, 3, dtype=torch.int)
    assert as_map(sem_seg, {}).shape == (2, 3)
    assert np.shares_memory(as_map(sem_seg, {}), sem_seg.numpy())
