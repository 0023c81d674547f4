"""Peak memory, each figure in a process of its own that has imported everything before."""

import multiprocessing
import platform
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import mmpfcn  # noqa: F401 (registers)

from .candidates import Candidate
from .runs import Prediction, Setting, TrainingStep, in_one_line

MEBIBYTE = 2**20
NETWORK, INFERENCE = 'network alone', 'inference'
GRADIENTS, STEP = 'forward + backward', 'training step'


@dataclass
class Peak:
    """Peak memory of one thing done by one model."""

    model: str  # name of the candidate
    setting: Setting  # what the input was
    # ``'network alone'`` (without post-processing), ``'inference'``, ``'forward + backward'`` or
    # ``'training step'`` (the second one)
    what: str
    # MiB by which it exceeds that of the process with its imports: model, input and everything
    # computed. On CUDA, MiB that tensors occupy.
    growth: float | None = None
    process: float | None = None  # MiB of the whole process, resident; None on CUDA
    error: str | None = None  # why there are no figures


def peak(
    candidate: Candidate, setting: Setting, what: str, device: torch.device, threads: int
) -> Peak:
    result = Peak(candidate.name, setting, what)
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            task = pool.submit(_measure, candidate, setting, what, device, threads)
            result.growth, result.process = task.result()
        except (RuntimeError, ValueError, TypeError, AssertionError, BrokenProcessPool) as error:
            result.error = in_one_line(error)
    return result


def _measure(
    candidate: Candidate, setting: Setting, what: str, device: torch.device, threads: int
) -> tuple[float, float | None]:
    """Growth and whole of this process, in MiB."""
    torch.set_num_threads(threads)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')
    before = resident('VmRSS')
    model = candidate.build(device)
    if what in (NETWORK, INFERENCE):
        run = Prediction(model, setting, device)
        (run.run if what == INFERENCE else run.run_network)()
    else:
        run = TrainingStep(candidate, model, setting, device)
        for step in [run.run_gradients] if what == GRADIENTS else [run.run] * 2:
            step()
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / MEBIBYTE, None
    highest = resident('VmHWM')
    return highest - before, highest


def resident(field: str) -> float:
    """MiB of this process from the kernel: ``VmRSS`` now, ``VmHWM`` the most so far.

    (A new process takes over the ``ru_maxrss`` of the one that started it.)
    """
    if platform.system() != 'Linux':
        raise RuntimeError(f'memory of a process is read from /proc, not on {platform.system()}')
    with open('/proc/self/status') as file:
        line = next(line for line in file if line.startswith(f'{field}:'))
    return int(line.split()[1]) / 1024
