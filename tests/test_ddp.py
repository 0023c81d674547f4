"""Real processes with PyTorch's DistributedDataParallel, gloo on the CPU."""

import socket

import tiny
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

IMAGES = [
    [tiny.sample(), tiny.sample(boxes=[])],  # things on one process only
    [tiny.sample(boxes=[], stuff=False), tiny.sample(boxes=[(41, 41, 42, 42)])],
]


def train(rank: int, port: int, folder: str) -> None:
    """Two steps without ``find_unused_parameters``: a parameter without gradient would raise."""
    from mmengine.registry import init_default_scope

    import mmpfcn  # noqa: F401 (registers, in the new process)

    init_default_scope('mmdet')
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.manual_seed(0)
    model = tiny.build()
    model = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for images in (IMAGES[rank], IMAGES[1 - rank]):
        data = model.module.data_preprocessor(tiny.batch(*images), training=True)
        losses = model(**data, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    torch.save(model.module.state_dict(), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


def test_processes_with_and_without_objects_stay_in_step(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    mp.spawn(train, (port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    for name, value in first.items():
        if 'running_' not in name:  # batch statistics are each process's own
            assert torch.equal(value, second[name]), name
            assert not value.is_floating_point() or value.isfinite().all(), name
