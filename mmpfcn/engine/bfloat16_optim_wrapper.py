"""Training in bfloat16 on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Mixed precision on a CPU, which mmengine's ``AmpOptimWrapper`` refuses.

    Convolutions and matrix products are computed in bfloat16; weights, gradients, targets and
    losses stay float32, and no loss is scaled, since bfloat16 has the range of float32. Weights are
    stored in channels_last, which oneDNN's bfloat16 is faster in.
    """

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """What the training loop calls before its first step."""
        model.to(memory_format=torch.channels_last)
        super().initialize_count_status(model, init_counts, max_counts)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
