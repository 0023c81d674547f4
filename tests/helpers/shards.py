"""Compare sharded checkpoints, in processes that need PyTorch alone."""

import torch
import torch.distributed as dist
from torch.distributed._shard.sharded_tensor import ShardedTensor


def local_parts(weight: torch.Tensor | ShardedTensor) -> list[torch.Tensor]:
    """Buffers are not sharded."""
    if isinstance(weight, ShardedTensor):
        return [shard.tensor for shard in weight.local_shards()]
    return [weight]


def require_equal_shards(rank: int, port: str, folders: tuple[str, str]) -> None:
    """A shard loads only in a group of processes like the one that wrote it."""
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    one, other = (
        torch.load(f'{folder}/rank{rank}.pth', weights_only=False)['state_dict']
        for folder in folders
    )
    assert len(one) > 100 and one.keys() == other.keys()
    for name, weight in one.items():
        pairs = zip(local_parts(weight), local_parts(other[name]), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), name
    dist.destroy_process_group()
