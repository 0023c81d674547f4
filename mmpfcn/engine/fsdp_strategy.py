"""Sharded training that can be resumed."""

from mmengine._strategy import FSDPStrategy
from mmengine.registry import STRATEGIES
from torch.distributed._shard.sharded_tensor import (
    Shard,
    ShardedTensor,
    ShardedTensorMetadata,
    TensorProperties,
)
from torch.distributed._shard.sharded_tensor.metadata import MEM_FORMAT_ENCODING
from torch.distributed._shard.sharding_spec import ChunkShardingSpec, ShardMetadata
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.remote_device import _remote_device

from ..apis.checkpoint import ATTRIBUTES, allowed

SHARDS = [
    Shard,
    ShardedTensor,
    ShardedTensorMetadata,
    TensorProperties,
    MEM_FORMAT_ENCODING,
    ChunkShardingSpec,
    ShardMetadata,
    ShardedTensor.ProcessGroupState,
    _remote_device,
]
"""What a sharded checkpoint holds beside the content of others."""
ATTRIBUTES[ShardedTensor] = ('ProcessGroupState',)


@STRATEGIES.register_module()
class ResumableFSDPStrategy(FSDPStrategy):
    """mmengine's FSDPStrategy, whose checkpoints load with newer PyTorch too (2.13; not 2.4).

    mmengine 0.10 passes the arguments of ``optim_state_dict_to_load`` by position, in the order of
    PyTorch 2.0; PyTorch has changed it since. Shards are plain data, so reading them is allowed.
    """

    def load_checkpoint(self, filename: str, **kwargs) -> dict:
        with allowed(SHARDS):
            return super().load_checkpoint(filename, **kwargs)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        loaded = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model,
            optim=self.optim_wrapper.optimizer,
            optim_state_dict=state_dict,
        )
        self.optim_wrapper.load_state_dict(loaded)
