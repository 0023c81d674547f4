"""Nothing is learned from a loss or gradient that is not a number."""

import logging
from functools import wraps

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop before the optimizer's step when a loss or gradient is NaN or infinite.

    All processes decide together, once a step: about every batch whose gradients were accumulated
    for it. Under mixed precision with a loss scale only losses are looked at: there infinite
    gradients are normal, and the scaler leaves their steps out and halves the scale. Once it is
    below 1, they are normal no longer (by default after 17 such steps without 2000 good ones).

    Args:
        skip: leave the step out, with a warning, and go on. Buffers (the statistics of a batch
            norm) get their values from before the step too.

    Raises:
        FloatingPointError: names the iteration, the losses, the images and the parameters.
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self._losses: list[dict[str, Tensor]] = []  # since the last step, a batch each
        self._images: list[str] = []
        self._buffers: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Check in front of ``optim_wrapper.step``, whatever the wrapper's class.

        PyTorch's own hook before a step comes after clipping by value, which turns an infinite
        gradient into a wrong one.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.register_forward_hook(self._remember, with_kwargs=True)
        if self.skip:
            model.register_forward_pre_hook(self._keep_buffers)
        wrapper = runner.optim_wrapper
        step = wrapper.step

        @wraps(step)  # the schedulers look for a mark of theirs on it
        def checked_step(**kwargs) -> None:
            parameters = () if _is_scaled(wrapper) else model.parameters()
            if _is_finite(self._losses, [x.grad for x in parameters if x.grad is not None]):
                step(**kwargs)
            else:
                self._leave_out(model, runner.iter + 1)
            self._losses, self._images, self._buffers = [], [], []

        wrapper.step = checked_step

    def _keep_buffers(self, model: nn.Module, inputs: tuple) -> None:
        if model.training and not self._losses:
            self._buffers = [buffer.clone() for buffer in model.buffers()]

    def _remember(self, model: nn.Module, inputs: tuple, kwargs: dict, output: object) -> None:
        if model.training and isinstance(output, dict):
            losses = model.parse_losses(output)[1]
            self._losses.append({k: loss.detach() for k, loss in losses.items() if 'loss' in k})
            for sample in kwargs.get('data_samples') or []:
                self._images.append(f'{sample.get("img_id")} ({sample.get("img_path")})')

    def _leave_out(self, model: nn.Module, iteration: int) -> None:
        reports = '; '.join(all_gather_object(_report(model, self._losses, self._images)))
        message = f'a loss or gradient is not finite in iteration {iteration}: {reports}'
        if not self.skip:
            raise FloatingPointError(
                f'{message}. The weights are those before this iteration. Look at these images '
                '(tools/analysis_tools/browse_dataset.py), lower the learning rate, or leave such '
                "steps out by custom_hooks=[..., dict(type='FiniteHook', skip=True)]"
            )
        for buffer, before in zip(model.buffers(), self._buffers, strict=True):
            buffer.copy_(before)
        print_log(f'Step left out: {message}', logger='current', level=logging.WARNING)


def _is_scaled(wrapper: OptimWrapper) -> bool:
    """Whether AmpOptimWrapper's loss scale makes infinite gradients normal, in all processes."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    return scaler is not None and scaler.is_enabled() and scaler.get_scale() >= 1


def _is_finite(losses: list[dict[str, Tensor]], gradients: list[Tensor]) -> bool:
    """Of all processes: the same answer in each."""
    values = [loss.float() for batch in losses for loss in batch.values()]
    # a NaN or infinity anywhere makes the norm one, and so does a gradient above 1e19
    norms = [norm.float() for norm in torch._foreach_norm(gradients)] if gradients else []
    figures = values + norms or [torch.zeros(())]
    bad = (~torch.stack(figures).isfinite()).any().float()
    all_reduce(bad)
    return not bad.item()


def _report(model: nn.Module, losses: list[dict[str, Tensor]], images: list[str]) -> str:
    """What this process knows, in one line."""
    batches = [', '.join(f'{name}={loss:.4g}' for name, loss in batch.items()) for batch in losses]
    gradients = {name: x.grad for name, x in model.named_parameters() if x.grad is not None}
    names = [name for name, gradient in gradients.items() if not gradient.norm().isfinite()]
    gradients = f'{len(names)} parameters, {", ".join(names[:3])}' if names else 'none'
    return (
        f'process {get_rank()}: {" | ".join(batches)}; images: {", ".join(images) or "unknown"}; '
        f'gradients that are not finite: {gradients}'
    )
