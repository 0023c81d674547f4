"""Where the time goes: methods of a running model are watched from outside."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
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
TRAINING_STAGES = (
    'preprocess',
    'forward',
    'heads with losses',
    *TARGETS_AND_LOSSES,
    'backward',
    'optimizer',
    OTHER,
)

INFERENCE = (
    Stage('data_preprocessor', 'forward', 'preprocess'),
    Stage('backbone', 'forward', 'backbone'),
    Stage('neck', 'forward', 'neck'),
    Stage('rpn_head', 'predict', 'heads'),
    Stage('roi_head', 'predict', 'heads'),
    Stage('semantic_head', 'predict', 'heads'),
    Stage('panoptic_head', 'forward', 'heads'),
    Stage('panoptic_head', 'predict', 'masks'),
    Stage('panoptic_head.kernel_fusion', 'forward', 'kernel fusion'),
    Stage('panoptic_fusion_head', 'predict', 'post-processing'),
)
TRAINING = (
    Stage('data_preprocessor', 'forward', 'preprocess'),
    Stage('backbone', 'forward', 'forward'),
    Stage('neck', 'forward', 'forward'),
    Stage('panoptic_head', 'forward', 'forward'),
    Stage('panoptic_head', 'preprocess_gt', 'targets'),
    Stage('panoptic_head', 'get_targets', 'targets'),
    Stage('panoptic_head', 'loss', 'losses'),
    Stage('rpn_head', 'loss_and_predict', 'heads with losses'),
    Stage('roi_head', 'loss', 'heads with losses'),
    Stage('semantic_head', 'loss', 'heads with losses'),
)
OPTIMIZATION = (
    Stage('', 'backward', 'backward'),
    Stage('', 'step', 'optimizer'),
    Stage('', 'zero_grad', 'optimizer'),
)


class StageClock:
    """Seconds of every stage; a stage does not run while one inside it runs.

    So the stages, with :data:`OTHER`, add up to the whole. On CUDA every change of stage waits for
    the device.

    Args:
        device: that is waited for.
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
            timed = _timed(method, stage.name, clock)
            stack.enter_context(patch.object(owner, stage.method, timed))
        yield


def _timed(method: Callable, name: str, clock: StageClock) -> Callable:
    @wraps(method)
    def run(*args, **kwargs):
        with clock.stage(name):
            return method(*args, **kwargs)

    return run


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
