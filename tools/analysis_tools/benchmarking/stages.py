"""Where the time goes: methods of a running model are watched from outside."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any, NamedTuple
from unittest.mock import patch

import torch

OTHER = 'other'


class Stage(NamedTuple):
    """A method whose own time belongs to a stage; inner stages are counted apart."""

    owner: str  # path from the model, such as ``panoptic_head.kernel_fusion``
    method: str  # its method
    name: str  # of the stage; several methods may share one


NETWORK = ('backbone', 'neck', 'heads', 'graph')  # the graph is a network in ONNX Runtime
AFTER_NETWORK = ('masks', 'kernel fusion', 'post-processing')
TARGETS_AND_LOSSES = ('targets', 'losses')
INFERENCE_STAGES = ('preprocess', *NETWORK, *AFTER_NETWORK, OTHER)
_HEADS = 'heads with losses'
TRAINING_STAGES = (
    'preprocess', 'forward', _HEADS, *TARGETS_AND_LOSSES, 'backward', 'optimizer', OTHER
)  # fmt: skip

INFERENCE = (
    Stage('data_preprocessor', 'forward', 'preprocess'),
    *(Stage(part, 'forward', part) for part in ('backbone', 'neck')),
    *(Stage(head, 'predict', 'heads') for head in ('rpn_head', 'roi_head', 'semantic_head')),
    Stage('panoptic_head', 'forward', 'heads'),
    Stage('panoptic_head', 'predict', 'masks'),
    Stage('panoptic_head.kernel_fusion', 'forward', 'kernel fusion'),
    Stage('panoptic_fusion_head', 'predict', 'post-processing'),
)
TRAINING = (
    Stage('data_preprocessor', 'forward', 'preprocess'),
    *(Stage(part, 'forward', 'forward') for part in ('backbone', 'neck', 'panoptic_head')),
    *(Stage('panoptic_head', method, 'targets') for method in ('preprocess_gt', 'get_targets')),
    Stage('panoptic_head', 'loss', 'losses'),
    Stage('rpn_head', 'loss_and_predict', _HEADS),
    *(Stage(head, 'loss', _HEADS) for head in ('roi_head', 'semantic_head')),
)
OPTIMIZATION = (
    Stage('', 'backward', 'backward'),
    *(Stage('', method, 'optimizer') for method in ('step', 'zero_grad')),
)


class StageClock:
    """Seconds of every stage; a stage does not run while one inside it runs.

    So the stages, with :data:`OTHER`, add up to the whole. On CUDA every change of stage waits for
    the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._account()
        self._running.append(name)
        try:
            yield
        finally:
            self._account()
            self._running.pop()

    def _account(self) -> None:
        synchronize(self._device)
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


@contextmanager
def watched(root: Any, stages: Sequence[Stage], clock: StageClock) -> Iterator[None]:
    """Let the clock see the stages of ``root``, a model or an optimizer wrapper.

    Stages of parts that it does not have are left out.
    """
    with ExitStack() as stack:
        for stage in stages:
            try:
                owner = attrgetter(stage.owner)(root) if stage.owner else root
                method = getattr(owner, stage.method)
            except AttributeError:
                continue
            timed = clock.stage(stage.name)(method)  # a context manager is a decorator too
            stack.enter_context(patch.object(owner, stage.method, timed))
        yield


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
