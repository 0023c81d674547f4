"""A step in bfloat16 on the CPU is nearly the step in float32, and leaves float32 behind."""

import torch
from helpers import tiny
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper

from mmpfcn.engine import Bfloat16OptimWrapper


def step(wrapper: str) -> tuple[float, dict[str, torch.Tensor]]:
    """The sum of the losses, and how far each weight moved."""
    torch.manual_seed(0)
    model = tiny.build().train()
    before = {name: x.detach().clone() for name, x in model.named_parameters()}
    config = ConfigDict(type=wrapper, optimizer=dict(type='SGD', lr=1.0))
    optim_wrapper = build_optim_wrapper(model, config)
    optim_wrapper.initialize_count_status(model, 0, 1)
    losses = model.train_step(tiny.batch(tiny.sample(), tiny.sample()), optim_wrapper)
    moved = {name: x.detach() - before[name] for name, x in model.named_parameters()}
    assert {x.dtype for x in moved.values()} == {torch.float32}
    if wrapper == 'Bfloat16OptimWrapper':
        wide = [x for x in model.parameters() if x.dim() == 4 and min(x.shape) > 1]
        assert wide and all(x.is_contiguous(memory_format=torch.channels_last) for x in wide)
    return losses['loss'].item(), moved


def test_a_step_is_nearly_that_in_float32():
    assert OPTIM_WRAPPERS.get('Bfloat16OptimWrapper') is Bfloat16OptimWrapper
    (loss, exact), (near_loss, near) = step('OptimWrapper'), step('Bfloat16OptimWrapper')
    assert 0 < abs(near_loss - loss) < 0.02 * loss
    one, other = (torch.cat([x.flatten() for x in moved.values()]) for moved in (exact, near))
    assert not torch.equal(one, other)
    assert torch.cosine_similarity(one, other, dim=0) > 0.99
