"""Positives, peaks and regions by small drawn examples."""

import pytest
import torch

from mmpfcn.models.sampling import find_peaks, gather_kernels, pool_regions, sample_positives


def test_positives():
    """The best cells inside; fewer than asked for; gradients reach their cells only."""
    logits = torch.full((2, 8, 8), -5.0)
    logits[1, 2, 3], logits[1, 4, 4], logits[1, 7, 7] = 2.0, 1.0, 9.0
    masks = torch.zeros(1, 16, 16)
    masks[0, 4:11, 4:11] = 1  # cells 2..5, not 7
    cells, scores = sample_positives(logits, torch.tensor([1]), masks, 3)
    assert cells[0, :2].tolist() == [2 * 8 + 3, 4 * 8 + 4]
    torch.testing.assert_close(scores[0], torch.tensor([2.0, 1.0, -5.0]).sigmoid())
    masks = torch.ones(2, 4, 4)
    cells, scores = sample_positives(torch.zeros(1, 1, 2), torch.zeros(2).long(), masks, 7)
    assert cells.shape == scores.shape == (2, 7)
    assert scores[:, :2].eq(0.5).all() and scores[:, 2:].eq(0).all()
    logits = torch.randn(2, 8, 8, requires_grad=True)
    cells, scores = sample_positives(logits, torch.tensor([1, 1]), torch.ones(2, 8, 8), 3)
    scores.sum().backward()
    p = logits.detach().sigmoid()
    expected = torch.zeros(2, 64)
    expected[1, cells[0]] = 2 * (p * (1 - p))[1].flatten()[cells[0]]  # both objects take them
    torch.testing.assert_close(logits.grad.flatten(1), expected)


def test_peaks_regions_and_their_kernels():
    logits = torch.full((1, 1, 5, 5), -20.0)
    logits[0, 0, 2, 2], logits[0, 0, 0, 4] = 20.0, 20.0
    peaks = find_peaks(logits, 3, 50)
    assert peaks.scores.shape == (1, 25)  # no more than the cells
    # (1 + 1/9) / 2 both: the padding of the corner counts as zeros
    assert peaks.scores[0, :2].tolist() == pytest.approx([5 / 9, 5 / 9])
    assert set(peaks.cells[0, :2].tolist()) == {12, 4}
    # the neighbours of a peak are smeared, (0 + 1/9) / 2, but no maxima
    assert peaks.scores[0, 2:].max() < 1 / 18
    logits = torch.full((1, 2, 2, 2), -3.0)
    logits[0, 0, 0, 0] = 3.0
    logits[0, 1, 1] = 1.0
    kernels = torch.arange(4.0).view(1, 1, 2, 2)
    scores, pooled = pool_regions(logits, kernels)
    p = torch.tensor([3.0, 1.0, -3.0]).sigmoid()
    # cell 1 is a tie and goes to the first class
    torch.testing.assert_close(scores[0], torch.stack([(p[0] + p[2]) / 2, p[1]]))
    assert pooled[0, :, 0].tolist() == [(0 + 1) / 4, (2 + 3) / 4]
    kernels = torch.arange(24.0).view(1, 2, 3, 4)
    assert gather_kernels(kernels, torch.tensor([[5, 0]])).tolist() == [[[5, 17], [0, 12]]]
