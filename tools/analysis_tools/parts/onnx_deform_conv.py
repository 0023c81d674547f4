"""Deformable convolutions in ONNX Runtime on the CPU: by Gather, by GridSample, and plain.

    python tools/analysis_tools/benchmark_parts.py onnx_deform_conv --size 64 88 --threads 2

Beside them is what PyTorch runs on a CPU.
"""

import argparse
import io
from collections.abc import Callable, Iterator

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from mmpfcn.commands.export.export import OPSET
from mmpfcn.ops.deform_conv import (
    deform_conv_by_bags,
    deform_conv_by_gathers,
    deform_conv_by_sampling,
)

from . import medians
from .deform_conv import add_arguments, plain  # noqa: F401 (both have the same)

EXPORTED = {'Gather': deform_conv_by_gathers, 'GridSample': deform_conv_by_sampling, 'plain': plain}


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


@torch.no_grad()
def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    x = torch.randn(1, args.channels, *args.size)
    steps, num_nodes = {}, {}
    for kind, function in EXPORTED.items():
        name = f'ONNX Runtime: {kind}'
        conv = Convolution(function, args.channels)
        steps[name], num_nodes[name] = in_onnx_runtime(conv, x, args.threads)
    bags = Convolution(deform_conv_by_bags, args.channels)
    steps['PyTorch: deform_conv_by_bags'] = lambda: bags(x)
    times = medians(steps, args.repeats)
    for name, milliseconds in times.items():
        yield {
            f'{args.channels} channels, ONNX Runtime {onnxruntime.__version__}': name,
            'nodes': str(num_nodes.get(name, '')),
            'median': f'{milliseconds:.0f} ms',
            'ratio': f'{milliseconds / times["ONNX Runtime: Gather"]:.2f}',
        }
