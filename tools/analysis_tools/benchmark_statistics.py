"""Time a training step that TrainingStatisticsHook watches against one that it does not.

    python tools/analysis_tools/benchmark_statistics.py --objects 10 40

Steps of r50_coco on drawn images with random weights, in turn. The hook watches one step in as
many as the logger's interval, 50 in the configs.
"""

import argparse
import time

import torch
from benchmarking.candidates import Candidate
from benchmarking.runs import Setting, TrainingStep
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import mmpfcn  # noqa: F401 (registers)
from mmpfcn.commands.check import statistics
from mmpfcn.engine.training_statistics_hook import Watch

CONFIG = 'configs/panoptic_fcn/r50_coco.py'


def seconds(step: TrainingStep, watched: bool) -> float:
    start = time.perf_counter()
    watch = Watch(step.model.panoptic_head) if watched else None
    step.run()
    if watch is not None:
        watch.finish()
    if step.device.type == 'cuda':
        torch.cuda.synchronize(step.device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--objects', type=int, nargs='+', default=[10, 40])
    parser.add_argument('--size', type=int, nargs=2, default=(320, 569), metavar=('H', 'W'))
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    args = parser.parse_args()
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel('ERROR')  # initialisation is logged per weight
    candidate, device = Candidate('r50_coco', CONFIG), torch.device(args.device)
    model = candidate.build(device)
    print('| objects | step (s) | watched step (s) | ratio | ratio at one step in 50 |')
    print('|---|---|---|---|---|')
    for number in args.objects:
        size = tuple(args.size)
        step = TrainingStep(candidate, model, Setting(size, size, 2, 'float32', number), device)
        times = [(seconds(step, False), seconds(step, True)) for _ in range(args.repeats + 1)]
        plain, watched = (statistics.median(column) for column in zip(*times[1:], strict=True))
        ratio = statistics.median(theirs / ours for ours, theirs in times[1:])
        print(
            f'| {number} | {plain:.3f} | {watched:.3f} | {ratio:.3f} | {1 + (ratio - 1) / 50:.4f} |'
        )


if __name__ == '__main__':
    main()
