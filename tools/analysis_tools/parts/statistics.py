"""A training step that TrainingStatisticsHook watches against one that it does not.

    python tools/analysis_tools/benchmark_parts.py statistics --objects 10 40

Steps of r50_coco on drawn images with random weights. The hook watches one step in as many as the
logger's interval, 50 in the configs. The ratio is the median of those of the pairs.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from statistics import median

import torch
from benchmarking.candidates import Candidate
from benchmarking.runs import Setting, TrainingStep
from benchmarking.stages import synchronize

from mmpfcn.commands.options import from_1
from mmpfcn.engine.training_statistics_hook import Watch

from . import add_size, take_turns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--objects', type=from_1, nargs='+', default=[10, 40])
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    add_size(parser, 320, 569)


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    candidate = Candidate('r50_coco', 'r50_coco')
    device, size = torch.device(args.device), tuple(args.size)
    model = candidate.build(device)

    def run(step: TrainingStep, watch: bool) -> None:
        watching = Watch(step.model.panoptic_head) if watch else None
        step.run()
        if watching:
            watching.finish()
        synchronize(device)

    for number in args.objects:
        step = TrainingStep(candidate, model, Setting(size, size, 2, 'float32', number), device)
        steps = dict(plain=partial(run, step, False), watched=partial(run, step, True))
        times = take_turns(steps, args.repeats)
        pairs = zip(times['plain'], times['watched'], strict=True)
        ratio = median(watched / plain for plain, watched in pairs)
        yield {
            'objects': str(number),
            'step': f'{median(times["plain"]):.0f} ms',
            'watched step': f'{median(times["watched"]):.0f} ms',
            'ratio': f'{ratio:.3f}',
            'ratio at one step in 50': f'{1 + (ratio - 1) / 50:.4f}',
        }
