"""Deformable convolutions on the CPU: mmcv's operator, ours, and a plain one beside them.

    python tools/analysis_tools/benchmark_parts.py deform_conv --size 64 88 --threads 2

The last column is what autograd keeps of one call for the backward pass.
"""

import argparse
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from mmcv.ops import modulated_deform_conv2d
from torch import Tensor

from mmpfcn.commands.options import from_1
from mmpfcn.ops.deform_conv import deform_conv_by_bags, deform_conv_by_sampling

from . import add_size, kept_by_autograd, medians


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--channels', type=from_1, default=256)
    add_size(parser, 64, 88)


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    c, (h, w) = args.channels, args.size
    inputs = [
        torch.randn(1, c, h, w),
        torch.randn(1, 18, h, w),
        torch.rand(1, 9, h, w),
        torch.randn(c, c, 3, 3) / (9 * c) ** 0.5,
    ]
    trained = [x.clone().requires_grad_() for x in inputs]

    def train(conv) -> None:
        conv(*trained, None).sum().backward()

    with torch.no_grad():
        calls = {name: partial(conv, *inputs, None) for name, conv in CONVOLUTIONS.items()}
        forward = medians(calls, args.repeats)
    steps = {name: partial(train, conv) for name, conv in CONVOLUTIONS.items()}
    both = medians(steps, args.repeats)
    first = next(iter(CONVOLUTIONS))
    for name, conv in CONVOLUTIONS.items():
        yield {
            f'{c} channels at {h} x {w}': name,
            'forward': f'{forward[name]:.0f} ms',
            'ratio': f'{forward[name] / forward[first]:.2f}',
            'forward + backward': f'{both[name]:.0f} ms',
            'its ratio': f'{both[name] / both[first]:.2f}',
            'kept': f'{kept_by_autograd(partial(conv, *trained, None)):.0f} MiB',
        }
