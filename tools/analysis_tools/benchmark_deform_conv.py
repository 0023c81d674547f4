"""Time deformable convolutions on the CPU: mmcv's operator, ours, and a plain one beside them.

    python tools/analysis_tools/benchmark_deform_conv.py --size 64 88 --threads 2

They take turns. The last column is what autograd keeps of one call for the backward pass.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmcv.ops import modulated_deform_conv2d
from torch import Tensor

from mmpfcn.commands.check import statistics
from mmpfcn.ops.deform_conv import deform_conv_by_bags, deform_conv_by_sampling


def mmcv_operator(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: None) -> Tensor:
    return modulated_deform_conv2d(x, offset, mask, weight, bias, 1, 1, 1, 1, 1)


def plain(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


CONVOLUTIONS = {
    "mmcv's operator": mmcv_operator,
    'deform_conv_by_sampling': deform_conv_by_sampling,
    'deform_conv_by_bags': deform_conv_by_bags,
    'plain convolution': plain,
}


def milliseconds(run: Callable[[Callable], object], repeats: int) -> list[float]:
    """Median of each convolution after a warm-up."""
    times = [[] for _ in CONVOLUTIONS]
    for repeat in range(repeats + 1):
        for its_times, conv in zip(times, CONVOLUTIONS.values(), strict=True):
            start = time.perf_counter()
            run(conv)
            if repeat:
                its_times.append(1000 * (time.perf_counter() - start))
    return [statistics.median(its_times) for its_times in times]


def kept_mebibytes(conv: Callable, inputs: list[Tensor]) -> float:
    """Storages that autograd keeps, the inputs among them."""
    sizes = {}

    def pack(x: Tensor) -> Tensor:
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = conv(*inputs, None)
    del out
    return sum(sizes.values()) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    with torch.no_grad():
        forward = milliseconds(lambda conv: conv(*inputs, None), args.repeats)
    both = milliseconds(lambda conv: conv(*trained, None).sum().backward(), args.repeats)
    print(f'{c} channels at {h} x {w}, {args.threads} threads, torch {torch.__version__}\n')
    print('| | forward | ratio | forward + backward | ratio | kept |\n|---|---|---|---|---|---|')
    for i, (name, conv) in enumerate(CONVOLUTIONS.items()):
        kept = kept_mebibytes(conv, trained)
        print(
            f'| {name} | {forward[i]:.0f} ms | {forward[i] / forward[0]:.2f} '
            f'| {both[i]:.0f} ms | {both[i] / both[0]:.2f} | {kept:.0f} MiB |'
        )


if __name__ == '__main__':
    main()
