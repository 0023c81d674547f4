"""The losses against mmdet's, and their edges."""

import pytest
import torch
from mmdet.models.losses import DiceLoss, FocalLoss

from mmpfcn import WeightedDiceLoss
from mmpfcn.models.losses import build_position_loss, map_loss
from mmpfcn.ops import chunks


@pytest.mark.parametrize('name', ['PositionLoss', 'FocalLoss'])
def test_position_loss_is_the_sum_of_the_images(monkeypatch, name):
    """Also in chunks of one image; the name of old configs still builds."""
    loss = build_position_loss(dict(type=name, loss_weight=2))
    logits, targets = torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    expected = 2 * FocalLoss(reduction='sum')(logits, targets) / 7
    torch.testing.assert_close(map_loss(loss, logits, targets, 7), expected)
    monkeypatch.setattr(chunks, 'CHUNK_SIZE', 1)
    torch.testing.assert_close(map_loss(loss, logits, targets, 7), expected)


def test_focal_loss_by_hand_and_gradients_of_dice():
    """p = 0.5, t = 1: alpha (1 - p)^2 ln 2."""
    loss = map_loss(FocalLoss(), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), 1)
    assert loss.item() == pytest.approx(0.25 * 0.25 * 0.693147, rel=1e-5)
    pred = torch.randn(3, 2, 4, 5, dtype=torch.double, requires_grad=True)
    weight = torch.rand(3, 2, dtype=torch.double, requires_grad=True)
    target = torch.rand(3, 4, 5, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda p, w: WeightedDiceLoss()(p, target, w), (pred, weight))


def test_one_candidate_is_the_dice_loss_of_mmdet():
    pred, target = torch.randn(5, 6, 7), torch.rand(5, 6, 7)
    golden = DiceLoss(eps=1e-8)(pred, target)
    torch.testing.assert_close(WeightedDiceLoss()(pred, target), golden)
    torch.testing.assert_close(WeightedDiceLoss()(pred, target, torch.rand(5, 1)), golden)
    weight = torch.rand(5)  # of masks, not of candidates
    golden = DiceLoss(eps=1e-8)(pred, target, weight=weight, avg_factor=3)
    ours = WeightedDiceLoss()(pred, target, weight=weight, avg_factor=3)
    torch.testing.assert_close(ours, golden)


def test_candidates_count_by_their_share_of_the_scores():
    pred, target = torch.randn(2, 3, 4, 4), torch.rand(2, 4, 4)
    weight = torch.tensor([[1.0, 3.0, 0.0], [2.0, 2.0, 4.0]])
    dice = DiceLoss(eps=1e-8, reduction='none')
    expected = [
        sum(w / ws.sum() * dice(p[None], t[None])[0] for w, p in zip(ws, ps, strict=True))
        for ws, ps, t in zip(weight, pred, target, strict=True)
    ]
    loss = WeightedDiceLoss()(pred, target, weight, reduction_override='none')
    torch.testing.assert_close(loss, torch.stack(expected))
    mean = WeightedDiceLoss()(pred, target, weight, avg_factor=4).item()
    assert mean == pytest.approx(sum(expected).item() / 4)


def test_perfect_empty_and_no_masks():
    target = torch.zeros(2, 4, 4)
    target[0, :2] = 1
    logits = (target * 2 - 1) * 50
    loss = WeightedDiceLoss()(logits, target, reduction_override='none')
    assert loss[0].item() == pytest.approx(0, abs=1e-6)
    assert loss.isfinite().all()
    pred = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = WeightedDiceLoss()(pred, torch.rand(2, 4, 4), torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
    loss.backward()
    assert pred.grad[0].eq(0).all() and pred.grad[1].ne(0).any()
    pred = torch.zeros(0, 7, 4, 4, requires_grad=True)
    loss = WeightedDiceLoss()(pred, torch.zeros(0, 4, 4), torch.zeros(0, 7))
    loss.backward()
    assert loss == 0 and pred.grad is not None
    with pytest.raises(ValueError, match=r'logits \(2, 3, 4, 4\) and target \(3, 4, 4\)'):
        WeightedDiceLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_sums_of_many_cells_are_in_float32(dtype):
    """sum(p^2) = 90000 is beyond float16, and 3 digits of bfloat16 would do for no sum."""
    pred = torch.full((1, 300, 300), 20.0).to(dtype)  # p = 1
    target = torch.zeros(1, 300, 300)
    target[:, :150] = 1
    with torch.autocast('cpu', dtype):
        loss = WeightedDiceLoss()(pred, target)
    assert loss.item() == pytest.approx(1 - 2 * 0.5 / 1.5, rel=1e-5)
