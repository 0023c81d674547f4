"""Train and predict for a long time in one process, and measure whether memory grows.

    python tests/long_run.py --iterations 5000

Prints the slopes of the resident memory, and on a GPU of the tensors there, in KiB per 1000
iterations (least squares, without the first fifth, in which caches fill).
"""

import argparse
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch
from helpers import tiny_inferencer, tiny_run
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmpfcn  # noqa: F401

EVERY = 10
"""Iterations between two measurements."""


def occupied() -> dict[str, float]:
    """KiB of this process in memory, and of its tensors on a GPU."""
    kibibytes = dict(resident=psutil.Process().memory_info().rss / 1024)
    if torch.cuda.is_available():
        kibibytes['on the GPU'] = torch.cuda.memory_allocated() / 1024
    return kibibytes


def slope(memory: list[float]) -> float:
    """KiB per 1000 iterations."""
    memory = memory[len(memory) // 5 :]
    return np.polyfit(np.arange(len(memory)) * EVERY, memory, 1)[0] * 1000


class MemoryHook(Hook):
    """The resident memory after every tenth iteration."""

    def __init__(self) -> None:
        self.memory: list[dict[str, float]] = []

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        if self.every_n_train_iters(runner, EVERY):
            self.memory.append(occupied())


def train(folder: Path, iterations: int) -> list[dict[str, float]]:
    """By mmengine's runner, with loader, hooks, logs, checkpoints and validation."""
    tiny_run.draw_data(folder, train=8, val=2)
    often = max(iterations // 5, 1)
    tiny_run.write_config(
        folder, train_cfg__max_iters=iterations, train_cfg__val_interval=often,
        default_hooks__checkpoint__interval=often, default_hooks__checkpoint__max_keep_ckpts=1,
        default_hooks__logger__interval=50, work_dir='work_dir', log_level='WARNING',
    )  # fmt: skip
    os.chdir(folder)
    runner = Runner.from_cfg(Config.fromfile('tiny.py'))
    hook = MemoryHook()
    runner.register_hook(hook)
    runner.train()
    return hook.memory


def predict(folder: Path, iterations: int) -> list[dict[str, float]]:
    """By the inferencer, one image of the data set after the other."""
    inferencer = tiny_inferencer.inferencer(folder)
    images = [cv2.imread(str(path)) for path in sorted(folder.glob('data/shapes/train/*'))]
    memory = []
    for i in range(iterations):
        inferencer(images[i % len(images)])
        if i % EVERY == 0:
            memory.append(occupied())
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--iterations', type=int, default=5000, help='of each of the two')
    args = parser.parse_args()
    if args.iterations < 5 * EVERY:
        parser.error(f'--iterations {args.iterations}: give {5 * EVERY} at least, for a slope')
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for what, measure in (('training', train), ('predictions', predict)):
            measured = measure(Path(name), args.iterations)
            for where in measured[0]:
                memory = [kibibytes[where] / 1024 for kibibytes in measured]
                first, last, grown = memory[len(memory) // 5], memory[-1], 1024 * slope(memory)
                print(f'{args.iterations} {what}, {where}: {grown:+.1f} KiB per 1000 iterations, ', end='')
                print(f'{first:.0f} MiB after the first fifth, {last:.0f} MiB at the end', flush=True)


if __name__ == '__main__':
    main()
