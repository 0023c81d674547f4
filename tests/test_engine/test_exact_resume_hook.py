"""Batches that a resumed run has used are skipped once, with either distribution's train loop."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler

from mmpfcn.datasets.replayable_sampler import ReplayableAspectRatioBatchSampler
from mmpfcn.engine import ExactResumeHook


class Sizes(list):
    """A data set of images that are wider than high."""

    def get_data_info(self, index: int) -> dict:
        return dict(width=20, height=10)


@pytest.mark.parametrize(
    ('loop', 'first'),
    [
        (SimpleNamespace(fast_forward_on_resume=False), [6, 7]),  # onedl-mmengine: told to not skip
        (SimpleNamespace(), [0, 1]),  # mmengine: it draws three batches itself
    ],
)
def test_batches_are_skipped_once(loop, first):
    sampler = DefaultSampler(Sizes(range(10)), shuffle=False, seed=0)
    batches = ReplayableAspectRatioBatchSampler(sampler, batch_size=2)
    runner = SimpleNamespace(
        iter=3,
        seed=0,
        _randomness_cfg={},
        train_loop=loop,
        train_dataloader=SimpleNamespace(batch_sampler=batches),
    )
    ExactResumeHook().before_train(runner)
    assert next(iter(batches)) == first
    assert getattr(loop, 'fast_forward_on_resume', first == [0, 1])
