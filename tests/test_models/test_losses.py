"""The losses against mmdet's, and their edges."""

import gc
import weakref

import pytest
import torch
from mmdet.models.losses import DiceLoss, FocalLoss

from mmpfcn import PositionLoss, WeightedDiceLoss
from mmpfcn.models import losses
from mmpfcn.models.losses import sum_with_gradient


def test_position_loss_is_the_sum_of_the_levels():
    logits = [torch.randn(2, 3, 4, 5), torch.randn(2, 3, 2, 3)]
    targets = [torch.rand(2, 3, 4, 5), torch.rand(2, 3, 2, 3)]
    focal = FocalLoss(reduction='sum')
    expected = focal(logits[0], targets[0]) / 7 + focal(logits[1], targets[1]) / 11
    torch.testing.assert_close(PositionLoss(loss_weight=2)(logits, targets, [7, 11]), 2 * expected)


def test_focal_loss_by_hand():
    """p = 0.5, t = 1: alpha (1 - p)^2 ln 2."""
    loss = PositionLoss()([torch.zeros(1, 1, 1, 1)], [torch.ones(1, 1, 1, 1)], [1])
    assert loss.item() == pytest.approx(0.25 * 0.25 * 0.693147, rel=1e-5)


def test_one_candidate_is_the_dice_loss_of_mmdet():
    pred, target = torch.randn(5, 6, 7), torch.rand(5, 6, 7)
    golden = DiceLoss(eps=1e-8)(pred, target)
    torch.testing.assert_close(WeightedDiceLoss()(pred, target), golden)
    torch.testing.assert_close(WeightedDiceLoss()(pred, target, torch.rand(5)), golden)


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
    assert WeightedDiceLoss()(pred, target, weight, avg_factor=4).item() == pytest.approx(
        sum(expected).item() / 4
    )


def test_perfect_and_empty_masks():
    target = torch.zeros(2, 4, 4)
    target[0, :2] = 1
    logits = (target * 2 - 1) * 50
    loss = WeightedDiceLoss()(logits, target, reduction_override='none')
    assert loss[0].item() == pytest.approx(0, abs=1e-6)
    assert loss.isfinite().all()


def test_objects_without_scores_contribute_nothing():
    pred = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = WeightedDiceLoss()(pred, torch.rand(2, 4, 4), torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
    loss.backward()
    assert pred.grad[0].eq(0).all() and pred.grad[1].ne(0).any()


def test_no_object():
    pred = torch.zeros(0, 7, 4, 4, requires_grad=True)
    loss = WeightedDiceLoss()(pred, torch.zeros(0, 4, 4), torch.zeros(0, 7))
    loss.backward()
    assert loss == 0 and pred.grad is not None


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r'logits \(2, 3, 4, 4\) and target \(3, 4, 4\)'):
        WeightedDiceLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4))


def test_gradients_of_the_dice_loss():
    pred = torch.randn(3, 2, 4, 5, dtype=torch.double, requires_grad=True)
    weight = torch.rand(3, 2, dtype=torch.double, requires_grad=True)
    target = torch.rand(3, 4, 5, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda p, w: WeightedDiceLoss()(p, target, w), (pred, weight))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_sums_of_many_cells_are_in_float32(dtype):
    """sum(p^2) = 90000 is beyond float16, and 3 digits of bfloat16 would do for no sum."""
    pred = torch.full((1, 300, 300), 20.0).to(dtype)  # p = 1
    target = torch.zeros(1, 300, 300)
    target[:, :150] = 1
    with torch.autocast('cpu', dtype):
        loss = WeightedDiceLoss()(pred, target)
    assert loss.item() == pytest.approx(1 - 2 * 0.5 / 1.5, rel=1e-5)


def weighted_square(x, index, shared):
    return (x.square() * index[:, None] * shared).sum()


@pytest.mark.parametrize('chunk_size', [1, 6, 100])
def test_sum_over_chunks_is_the_sum(monkeypatch, chunk_size):
    monkeypatch.setattr(losses, 'CHUNK_SIZE', chunk_size)
    x, shared = torch.randn(5, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    index = torch.arange(5)
    expected = weighted_square(x, index, shared)
    expected_gradients = torch.autograd.grad(2 * expected, (x, shared))
    total = sum_with_gradient(weighted_square, x, index, row_size=3, shared=[shared])
    torch.testing.assert_close(total, expected)
    gradients = torch.autograd.grad(2 * total, (x, shared))  # a factor as a loss scaler's
    torch.testing.assert_close(gradients, expected_gradients)
    with torch.no_grad():
        torch.testing.assert_close(
            sum_with_gradient(weighted_square, x, index, row_size=3, shared=[shared]), expected
        )


def test_sum_over_no_chunk_has_a_gradient():
    x, shared = torch.randn(0, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    total = sum_with_gradient(weighted_square, x, torch.arange(0), row_size=3, shared=[shared])
    total.backward()
    assert total == 0 and x.grad.shape == (0, 3) and shared.grad.tolist() == [0, 0, 0]


def test_sum_over_chunks_keeps_the_inputs_gradients_only():
    """Inside are maps of 40 x 1000 numbers; kept for backward are 40 and 1000."""
    kernels, feats = (
        torch.randn(40, 1, requires_grad=True),
        torch.randn(1, 1000, requires_grad=True),
    )

    def function(kernels, feats):
        return (kernels @ feats).sigmoid().square().sum()

    def kept(compute):
        alive = weakref.WeakSet()

        class Box:
            def __init__(self, tensor):
                self.tensor = tensor
                alive.add(self)

        with torch.autograd.graph.saved_tensors_hooks(Box, lambda box: box.tensor):
            result = compute()
        gc.collect()
        sizes = {box.tensor.data_ptr(): box.tensor.numel() for box in alive}
        assert result.requires_grad
        return sum(sizes.values())

    assert kept(lambda: function(kernels, feats)) >= 40 * 1000
    assert kept(lambda: sum_with_gradient(function, kernels, row_size=1000, shared=[feats])) == 1040
