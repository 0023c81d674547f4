"""Samples and batches that a resumed run draws again."""

import random

import numpy as np
import torch
from mmengine.dataset import DefaultSampler

from mmpfcn.datasets import replayable_sampler as replayable


class Sizes(list):
    """A data set of images that are wider than high."""

    def get_data_info(self, index: int) -> dict:
        return dict(width=20, height=10)


def test_samples_and_batches_are_drawn_again():
    sampler = DefaultSampler(Sizes(range(10)), shuffle=False, seed=0)
    batches = replayable.ReplayableAspectRatioBatchSampler(sampler, batch_size=2)
    batches.skip_batches(3)
    assert list(batches) == [[6, 7], [8, 9]]
    assert len(list(batches)) == 5
    # Each index brings a seed of its own, the same one in every process and run.
    draws = [iter(replayable.ReplayableSampler(Sizes(range(10)), seed=3)) for _ in range(2)]
    ours, theirs = ([next(draw) for _ in range(25)] for draw in draws)
    assert ours == theirs and [x.seed for x in ours] == [x.seed for x in theirs]
    assert len({x.seed for x in ours}) == 25 and set(ours) == set(range(10))
    assert replayable.mixed_seed(1, 2) != replayable.mixed_seed(2, 1)


def test_seeds_are_put_back():
    def draw() -> tuple:
        return random.random(), np.random.rand(), torch.rand(1).item()

    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = draw()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    with replayable.seeded(5):
        inside = draw()
    assert draw() == expected
    with replayable.seeded(5):
        assert draw() == inside != expected
