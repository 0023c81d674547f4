"""Runs of mmengine's runner, distributed on machines without an accelerator too."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist
from mmengine.runner import Runner

from .options import WRONG, exit_if_refused


@contextmanager
def processes(cfg: Config) -> Iterator[None]:
    """Start and end the process group of a run that is distributed; on a CPU it is one of gloo.

    Checkpoints are read without running code; one that is refused ends the program, and so do
    weights of a backbone, which are loaded when the training starts.

    mmengine starts the group itself, but first selects a CUDA device, and gives it to the model's
    wrapper. Without an accelerator there is none to select, so the group is started here.
    """
    if cfg.launcher != 'none' and get_device() == 'cpu':
        dist_cfg = {**cfg.get('env_cfg', {}).get('dist_cfg', {}), 'backend': 'gloo'}
        with patch.object(torch.cuda, 'set_device'):
            init_dist(cfg.launcher, **dist_cfg)
        if 'runner_type' not in cfg:  # else a strategy wraps the model
            cfg.model_wrapper_cfg = {
                'type': 'MMDistributedDataParallel',
                'broadcast_buffers': False,
                'find_unused_parameters': cfg.get('find_unused_parameters', False),
                **cfg.get('model_wrapper_cfg', {}),
                'device_ids': None,
            }
    setup_cache_size_limit_of_dynamo()
    with exit_if_refused():
        yield
    if torch.distributed.is_initialized():  # after an error it might wait for the others
        torch.distributed.destroy_process_group()
        # its threads need the interpreter's lock to let go of the last tensors: the collection
        # would hold it, and wait for the threads
        time.sleep(0.1)
        # held by the model, whose group would outlive the interpreter: its threads abort then
        gc.collect()


def build_runner(cfg: Config, *loops: str) -> Runner:
    """The runner of a config; :func:`processes` counts on nobody keeping it.

    The data sets of the loops (``train_loop``, ...) are read now: what is wrong with one of them,
    or with the model, ends the program with its message.
    """
    with exit_if_refused(*WRONG):
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        for loop in loops:
            getattr(runner, loop)  # builds it, where there is one
    return runner
