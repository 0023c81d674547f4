"""Batches that a resumed run has used are skipped once, with either distribution's train loop."""

import logging
from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner.loops import _InfiniteDataloaderIterator
from test_datasets.test_replayable_sampler import Sizes
from torch.utils.data import DataLoader

from mmpfcn.datasets.replayable_sampler import ReplayableAspectRatioBatchSampler
from mmpfcn.engine import ExactResumeHook


def runner_of(loop, batches, iteration: int = 3, counts: int = 1, interval: int = 1):
    loader, wrapper = SimpleNamespace(batch_sampler=batches), SimpleNamespace(_accumulative_counts=counts)
    hooks, logger = [CheckpointHook(interval=interval, by_epoch=False)], logging.getLogger('mmpfcn.resume')
    run = dict(iter=iteration, seed=0, _randomness_cfg={}, _resume=True, hooks=hooks, logger=logger)
    return SimpleNamespace(train_loop=loop, train_dataloader=loader, optim_wrapper=wrapper, **run)


@pytest.mark.parametrize('loop, first', [
    (SimpleNamespace(fast_forward_on_resume=False), [6, 7]),  # onedl-mmengine: told to not skip
    (SimpleNamespace(), [0, 1]),  # mmengine: it draws three batches itself
])  # fmt: skip
def test_batches_are_skipped_once(loop, first):
    sampler = InfiniteSampler(Sizes(range(10)), shuffle=False, seed=0)
    batches = ReplayableAspectRatioBatchSampler(sampler, batch_size=2)
    ExactResumeHook().before_train(runner_of(loop, batches))
    assert next(iter(batches)) == first
    assert getattr(loop, 'fast_forward_on_resume', first == [0, 1])


@pytest.mark.parametrize('iteration', [0, 2, 5, 7, 13])
def test_a_finite_sampler_goes_on_where_it_was(iteration, monkeypatch):
    """Also behind its end: the batches of all rounds are those of a run without interruption."""
    monkeypatch.setattr('time.sleep', lambda seconds: None)

    def drawn(start: int) -> list[list[int]]:
        sampler = DefaultSampler(Sizes(range(10)), shuffle=True, seed=4)
        batches = ReplayableAspectRatioBatchSampler(sampler, batch_size=2)
        loop = SimpleNamespace(fast_forward_on_resume=False)
        ExactResumeHook().before_train(runner_of(loop, batches, start))
        loader = DataLoader(sampler.dataset, batch_sampler=batches)
        iterator = _InfiniteDataloaderIterator(loader)
        if not loop.fast_forward_on_resume:  # as mmengine's loop
            iterator.skip_iter(start)
        return [next(iterator).tolist() for _ in range(20 - start)]

    assert drawn(iteration) == drawn(0)[iteration:]


@pytest.mark.parametrize('counts, iteration, interval', [(1, 3, 1), (2, 4, 6), (3, 0, 3)])
def test_whole_accumulations_are_silent(counts, iteration, interval, caplog):
    ExactResumeHook().before_train(runner_of(SimpleNamespace(), None, iteration, counts, interval))
    assert not caplog.records


def test_a_checkpoint_inside_an_accumulation_is_named(caplog):
    ExactResumeHook().before_train(runner_of(SimpleNamespace(), None, 5, 4, 6))
    assert [record.levelname for record in caplog.records] == ['WARNING', 'WARNING']
    assert 'since iteration 4 are lost' in caplog.text
    assert 'interval=6 is no multiple of optim_wrapper.accumulative_counts=4' in caplog.text


def test_another_batch_size_is_named(caplog):
    def batches(size: int):
        return ReplayableAspectRatioBatchSampler(DefaultSampler(Sizes(range(10))), size)

    hook, checkpoint = ExactResumeHook(), dict(meta={})
    hook.before_save_checkpoint(runner_of(None, batches(2)), checkpoint)
    hook.after_load_checkpoint(runner_of(None, batches(2)), checkpoint)
    assert not caplog.records
    hook.after_load_checkpoint(runner_of(None, batches(3)), checkpoint)
    assert 'train_dataloader.batch_size=2, this one has 3' in caplog.text


@pytest.mark.parametrize('hooks, warned', [([], True), ([EMAHook(momentum=0.1)], False)])
def test_a_lost_average_is_said(caplog, hooks, warned):
    """Without the hook mmengine goes on from the average, which it saves in the weights' place."""
    runner = SimpleNamespace(
        _resume=True, hooks=hooks, train_dataloader=None, logger=logging.getLogger('mmpfcn.resume')
    )
    ExactResumeHook().after_load_checkpoint(runner, dict(state_dict={}, ema_state_dict={}))
    assert ('goes on from the averaged weights' in caplog.text) == warned
