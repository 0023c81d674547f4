"""Real processes with PyTorch's DistributedDataParallel, gloo on the CPU."""

import pytest
import torch
import torch.distributed as dist
from helpers import tiny
from helpers.forked import run_processes
from helpers.shell import free_port
from torch.nn.parallel import DistributedDataParallel

IMAGES = [
    tiny.sample(),
    tiny.sample(boxes=[], seed=1),
    tiny.sample(boxes=[], stuff=False, seed=2),  # nothing at all
    tiny.sample(boxes=[(41, 41, 42, 42), (8, 8, 60, 60)], seed=3),
]
SHARES = {
    'one each': [[0], [1], [2], [3]],
    'uneven': [[0, 1, 3], [2]],  # one process has no target, and another number of images
    'things on one': [[0, 3], [1, 2]],
}
"""Which images every process of a run has."""
PAIRS = dict(type='FocalLoss', loss_weight=4.0)


def build(sync: bool, **head) -> torch.nn.Module:
    """The same weights everywhere; batch norm with its running statistics."""
    torch.manual_seed(0)
    settings = dict(train_cfg=dict(sync_avg_factor=sync), panoptic_head=head)
    return tiny.build(backbone=dict(norm_eval=True), **settings)


def step(model: torch.nn.Module, share: list[int]) -> dict[str, torch.Tensor]:
    """Losses, and gradients by the name of their parameter."""
    inner = getattr(model, 'module', model)
    data = inner.data_preprocessor(tiny.batch(*(IMAGES[i] for i in share)), training=True)
    losses = model.train()(**data, mode='loss')
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in inner.named_parameters() if p.requires_grad}
    return {**{name: loss.detach() for name, loss in losses.items()}, **gradients}


def train(model: torch.nn.Module, rank: int) -> dict[str, torch.Tensor]:
    """The weights after two steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for share in ([0, 1], [2, 3]), ([2, 3], [0, 1]):
        optimizer.zero_grad()
        step(model, share[rank])
        optimizer.step()
    return model.module.state_dict()


def process(rank: int, ports: dict[str, str], folder: str) -> None:
    """All runs, one after another. No ``find_unused_parameters``: one without gradient raises."""
    from mmengine.registry import init_default_scope

    import mmpfcn  # noqa: F401 (registers, in the new process)

    init_default_scope('mmdet')
    torch.set_num_threads(1)
    results = {}
    for name, shares in SHARES.items():
        if rank >= len(shares):
            continue
        address = f'tcp://127.0.0.1:{ports[name]}'
        dist.init_process_group('gloo', address, rank=rank, world_size=len(shares))
        for sync in (True, False):
            results[name, sync] = step(DistributedDataParallel(build(sync)), shares[rank])
        if name == 'things on one':
            model = DistributedDataParallel(build(True, loss_intra_batch=PAIRS))
            results[name, 'pairs'] = step(model, shares[rank])
            torch.manual_seed(0)
            results[name, 'weights'] = train(DistributedDataParallel(tiny.build()), rank)
        dist.destroy_process_group()
    torch.save(results, f'{folder}/{rank}.pth')


@pytest.fixture(scope='module')
def results(tmp_path_factory) -> list[dict]:
    """What every process computed."""
    folder = tmp_path_factory.mktemp('ddp')
    ports = {name: free_port() for name in SHARES}
    run_processes(process, ports, str(folder), number=4)
    return [torch.load(folder / f'{rank}.pth') for rank in range(4)]


@pytest.mark.parametrize('name', SHARES)
def test_processes_train_as_one_or_count_their_own(results, name):
    whole = step(build(sync=True), [0, 1, 2, 3])
    parts = [results[rank][name, True] for rank in range(len(SHARES[name]))]
    for key, expected in whole.items():
        # gradients are averaged by DDP; a process reports its own part of the losses
        mean = torch.stack([part[key] for part in parts]).mean(0)
        torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5, msg=key)
        if not key.startswith('loss_'):
            assert all(torch.equal(part[key], parts[0][key]) for part in parts)
    alone = [step(build(sync=False), share) for share in SHARES[name]]
    for rank, losses in enumerate(alone):
        for key, value in results[rank][name, False].items():
            expected = losses[key]
            if not key.startswith('loss_'):
                expected = torch.stack([other[key] for other in alone]).mean(0)
            torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5, msg=key)


def test_pairs_of_processes_train_as_in_one(results):
    """The objects of all processes are one batch, of which each has a pair."""
    whole = step(build(True, loss_intra_batch=PAIRS), sum(SHARES['things on one'], []))
    for key, expected in whole.items():
        mean = sum(results[rank]['things on one', 'pairs'][key] for rank in range(2)) / 2
        torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5, msg=key)
    assert whole['loss_intra_batch'] > 0


def test_processes_stay_in_step_and_the_two_rules_differ(results):
    """Else the tests above would prove nothing."""
    synced, published = (results[0]['things on one', sync] for sync in (True, False))
    # the first process has all four (object, level) pairs, so the mean is half its count
    torch.testing.assert_close(synced['loss_thing'], 2 * published['loss_thing'])
    first, second = (results[rank]['things on one', 'weights'] for rank in range(2))
    for key, value in first.items():
        if 'running_' not in key:  # batch statistics are each process's own
            assert torch.equal(value, second[key]), key
            assert not value.is_floating_point() or value.isfinite().all(), key
