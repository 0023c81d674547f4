"""Time deformable convolutions in ONNX Runtime on the CPU: by Gather, by GridSample, and plain.

    python tools/analysis_tools/benchmark_onnx_deform_conv.py --size 64 88 --threads 2

They take turns, beside what PyTorch runs on a CPU.
"""

import argparse
import io
import time
from collections.abc import Callable

import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmpfcn.commands.check import statistics
from mmpfcn.commands.export.export import OPSET
from mmpfcn.ops.deform_conv import (
    deform_conv_by_bags,
    deform_conv_by_gathers,
    deform_conv_by_sampling,
)


def plain(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


class Convolution(nn.Module):
    """One of the functions with a weight of its own."""

    def __init__(self, function: Callable, channels: int) -> None:
        super().__init__()
        self.function = function
        self.offset = nn.Conv2d(channels, 27, 3, padding=1)
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3) / (9 * channels) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        offset, mask = self.offset(x).split([18, 9], 1)
        return self.function(x, offset, mask.sigmoid(), self.weight, None)


def in_onnx_runtime(conv: Convolution, x: Tensor, threads: int) -> tuple[Callable, int]:
    """What runs the convolution on ``x``, and the number of its nodes."""
    buffer, axes = io.BytesIO(), {'x': {0: 'n', 2: 'h', 3: 'w'}}
    torch.onnx.export(
        conv, (x,), buffer, dynamo=False, opset_version=OPSET, input_names=['x'], dynamic_axes=axes
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=['CPUExecutionProvider']
    )
    num_nodes = len(onnx.load_from_string(buffer.getvalue()).graph.node)
    return lambda: session.run(None, {'x': x.numpy()}), num_nodes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--channels', type=int, default=256)
    parser.add_argument('--size', type=int, nargs=2, default=(64, 88), metavar=('H', 'W'))
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    x = torch.randn(1, args.channels, *args.size)
    runs = {}
    for name, function in (
        ('Gather', deform_conv_by_gathers),
        ('GridSample', deform_conv_by_sampling),
        ('plain', plain),
    ):
        conv = Convolution(function, args.channels)
        runs[f'ONNX Runtime: {name}'] = in_onnx_runtime(conv, x, args.threads)
    bags = Convolution(deform_conv_by_bags, args.channels)
    runs['PyTorch: deform_conv_by_bags'] = lambda: bags(x), ''
    times = {name: [] for name in runs}
    for repeat in range(args.repeats + 1):
        for name, (run, _) in runs.items():
            start = time.perf_counter()
            run()
            if repeat:
                times[name].append(1000 * (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    h, w = args.size
    print(
        f'{args.channels} channels at {h} x {w}, {args.threads} threads, '
        f'ONNX Runtime {onnxruntime.__version__}, torch {torch.__version__}\n'
    )
    print('| | nodes | median | ratio |\n|---|---|---|---|')
    for name, (_, num_nodes) in runs.items():
        print(f'| {name} | {num_nodes} | {medians[name]:.0f} ms | {medians[name] / first:.2f} |')


if __name__ == '__main__':
    main()
