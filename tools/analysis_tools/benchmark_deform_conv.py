"""Time our deformable convolution against mmcv's operator, forward and forward + backward.

python tools/analysis_tools/benchmark_deform_conv.py --size 64 88 --threads 2
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from mmcv.ops import modulated_deform_conv2d
from torch import Tensor

from mmpfcn.models.layers import deform_conv_by_sampling


def mmcv_operator(*inputs: Tensor) -> Tensor:
    return modulated_deform_conv2d(*inputs, None, 1, 1, 1, 1, 1)


def by_sampling(*inputs: Tensor) -> Tensor:
    return deform_conv_by_sampling(*inputs, None)


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Median after one warm-up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--channels', type=int, default=256)
    parser.add_argument('--size', type=int, nargs=2, default=(64, 88), metavar=('H', 'W'))
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    c, (h, w) = args.channels, args.size
    inputs = [
        torch.randn(1, c, h, w),
        torch.randn(1, 18, h, w),
        torch.rand(1, 9, h, w),
        torch.randn(c, c, 3, 3) / (9 * c) ** 0.5,
    ]
    trained = [x.clone().requires_grad_() for x in inputs]
    difference = (mmcv_operator(*inputs) - by_sampling(*inputs)).abs().max().item()
    print(f'{c} channels at {h} x {w}, {args.threads} threads, torch {torch.__version__}')
    print(f'largest difference of the outputs: {difference:.1e}')
    forward, step = {}, {}
    for conv in (mmcv_operator, by_sampling):
        with torch.no_grad():
            forward[conv] = milliseconds(lambda conv=conv: conv(*inputs), args.repeats)
        step[conv] = milliseconds(lambda conv=conv: conv(*trained).sum().backward(), args.repeats)
    for name, times in (('forward', forward), ('forward + backward', step)):
        theirs, ours = times[mmcv_operator], times[by_sampling]
        print(f'{name}: mmcv {theirs:.0f} ms, ours {ours:.0f} ms, ratio {ours / theirs:.2f}')


if __name__ == '__main__':
    main()
