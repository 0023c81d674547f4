"""torch.compile of the network, and of nothing else."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


@HOOKS.register_module()
class CompileNetworkHook(Hook):
    """Compile backbone, neck and the convolutions of the panoptic head before a run.

    Each of them as one graph: a graph break is an error. Targets, losses and post-processing, whose
    shapes depend on the image, stay as they are. (mmengine's ``compile=True`` compiles
    ``model.forward``, targets and all, which falls apart.) Names in checkpoints do not change.

    Args:
        backend: of ``torch.compile``.
    """

    def __init__(self, backend: str = 'inductor') -> None:
        self.backend = backend

    def before_run(self, runner: Runner) -> None:
        compile_network(runner.model, self.backend)


def compile_network(model: nn.Module, backend: str = 'inductor') -> None:
    """Compile the parts in place; they are built at their first call.

    Of :class:`PanopticFCN`, or ``MaskFormer`` with our head, which may be wrapped for DDP. Raises
    ValueError where ``torch.compile`` has no such backend.
    """
    if backend not in (known := torch.compiler.list_backends(exclude_tags=())):
        raise ValueError(f'CompileNetworkHook got backend={backend!r}, expected one of {known}')
    model = model.module if is_model_wrapper(model) else model
    head = model.panoptic_head
    for part in (model.backbone, model.neck, head.kernel_generator, head.feature_encoder):
        part.compile(backend=backend, fullgraph=True)
