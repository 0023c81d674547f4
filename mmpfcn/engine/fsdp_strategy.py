"""Sharded training that can be resumed."""

from mmengine._strategy import FSDPStrategy
from mmengine.registry import STRATEGIES
from torch.distributed.fsdp import FullyShardedDataParallel


@STRATEGIES.register_module()
class ResumableFSDPStrategy(FSDPStrategy):
    """mmengine's FSDPStrategy, whose checkpoints load with PyTorch >= 2.1 too.

    mmengine 0.10 passes the arguments of ``optim_state_dict_to_load`` by position, in the order of
    PyTorch 2.0; PyTorch has changed it since.
    """

    def load_optim_state_dict(self, state_dict: dict) -> None:
        loaded = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model,
            optim=self.optim_wrapper.optimizer,
            optim_state_dict=state_dict,
        )
        self.optim_wrapper.load_state_dict(loaded)
