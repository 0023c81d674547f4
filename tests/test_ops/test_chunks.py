"""Sums over chunks are those of the whole, with every gradient, and keep little."""

from functools import partial

import pytest
import torch
from mmdet.models.losses import DiceLoss
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mmpfcn.ops import chunks
from mmpfcn.ops.chunks import sum_over_chunks


def weighted_square(x, index, shared):
    return (x.square() * index[:, None] * shared).sum()


@pytest.mark.parametrize('chunk_size', [1, 6, 100])
def test_sum_over_chunks_is_the_sum(monkeypatch, chunk_size):
    monkeypatch.setattr(chunks, 'CHUNK_SIZE', chunk_size)
    x, shared = torch.randn(5, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    index = torch.arange(5)
    expected = weighted_square(x, index, shared)
    expected_gradients = torch.autograd.grad(2 * expected, (x, shared))
    function = partial(weighted_square, shared=shared)
    total = sum_over_chunks(function, x, index, row_size=3)
    torch.testing.assert_close(total, expected)
    gradients = torch.autograd.grad(2 * total, (x, shared))  # a factor as a loss scaler's
    torch.testing.assert_close(gradients, expected_gradients)
    with torch.no_grad():
        torch.testing.assert_close(sum_over_chunks(function, x, index, row_size=3), expected)


def test_gradients_of_no_chunk_of_parameters_and_twice(monkeypatch):
    x, shared = torch.randn(0, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    function = partial(weighted_square, shared=shared)
    total = sum_over_chunks(function, x, torch.arange(0), row_size=3)
    total.backward()
    assert total == 0 and x.grad.shape == (0, 3) and shared.grad.tolist() == [0, 0, 0]
    monkeypatch.setattr(chunks, 'CHUNK_SIZE', 2)
    x = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    scale = nn.Parameter(torch.tensor(1.5, dtype=torch.double))

    def total(x, scale):
        return sum_over_chunks(lambda x: (scale * x).sigmoid().square().sum(), x, row_size=1)

    assert torch.autograd.gradcheck(total, (x, scale))
    assert torch.autograd.gradgradcheck(total, (x, scale))


def test_sum_over_chunks_keeps_the_inputs_only():
    """Inside are maps of 40 x 1000 numbers; kept for backward are none."""
    kernels, feats = (torch.randn(40, 1, requires_grad=True), torch.randn(1, 1000, requires_grad=True))

    def function(kernels):
        return (kernels @ feats).sigmoid().square().sum()

    def kept(compute):
        """Bytes that are still there after it, besides the inputs."""
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as memory:
            result = compute()
        assert result.requires_grad
        return sum(event.self_cpu_memory_usage for event in memory.key_averages())

    assert kept(lambda: function(kernels)) >= 4 * 40 * 1000
    total = lambda: sum_over_chunks(function, kernels, row_size=1000)  # noqa: E731
    assert kept(total) == 4 + torch.get_rng_state().numel()  # for a function that draws numbers


@pytest.mark.parametrize('chunk_size', [1, 2, 100])
def test_a_mean_loss_is_the_same_in_chunks(monkeypatch, chunk_size):
    monkeypatch.setattr(chunks, 'CHUNK_SIZE', chunk_size)
    pred, target = torch.randn(5, 3), torch.rand(5, 3)
    dice = DiceLoss(reduction='mean')
    total = sum_over_chunks(partial(dice, avg_factor=5), pred, target, row_size=1)
    torch.testing.assert_close(total, dice(pred, target))
