"""mIoU of the classes of a region head, by hand."""

import pytest
import torch

from mmpfcn import RegionSemSegMetric
from mmpfcn.evaluation.region_sem_seg_metric import merge_things

META = dict(classes=('a', 'b', 'sky', 'sea'), thing_classes=('a', 'b'), stuff_classes=('sky', 'sea'))


def test_miou_by_hand():
    metric = RegionSemSegMetric()
    metric.dataset_meta = META
    gt = torch.tensor([[[0, 1, 2, 2, 3, 255]]])
    pred = torch.tensor([[[4, 4, 2, 4, 3, 2]]])  # 4 is "any thing"; the void pixel does not count
    sample = dict(pred_sem_seg=dict(sem_seg=pred), gt_sem_seg=dict(sem_seg=gt))
    metric.process({}, [sample])
    # sky 1/2, sea 1/1, things 2/3
    result = metric.evaluate(size=1)
    assert result['mIoU'] == pytest.approx(100 * (1 / 2 + 1 + 2 / 3) / 3, abs=0.01)
    assert result['aAcc'] == pytest.approx(80)
    assert metric.dataset_meta == META
    metric = RegionSemSegMetric(separate_things=True)
    metric.dataset_meta = META
    gt = torch.tensor([[[0, 0, 1, 2, 3, 255]]])
    pred = torch.tensor([[[0, 1, 1, 4, 3, 2]]])  # 4 is nothing
    metric.process({}, [dict(pred_sem_seg=dict(sem_seg=pred), gt_sem_seg=dict(sem_seg=gt))])
    # a 1/2, b 1/2, sky 0/1, sea 1/1
    result = metric.evaluate(size=1)
    assert result['mIoU'] == pytest.approx(50)
    assert result['aAcc'] == pytest.approx(60)
    assert merge_things(torch.tensor([0, 1, 2, 3, 4]), 2, 2).tolist() == [2, 2, 0, 1, 2]
