"""Targets and losses with their gradients against the network, by the number of objects.

    python tools/analysis_tools/benchmark_parts.py losses --objects 1 10 40 100 300

Training steps of r50_coco on drawn images with random weights. "Network" is forward and backward of
all but targets and losses; "losses" are the losses and their gradients up to the network's output,
and "plain" the same with mmdet's ``DiceLoss`` on the logits of all kernels of an image at once.
"Step" is relative to the first row. "Kept" is what autograd holds for the losses until backward,
besides the network's output.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from unittest import mock

import torch
from benchmarking.candidates import Candidate
from benchmarking.scenes import training_batch
from mmdet.models.losses import DiceLoss
from torch import Tensor, nn

from mmpfcn import PanopticFCNHead
from mmpfcn.commands.options import from_1
from mmpfcn.structures import LevelMaps

from . import add_size, kept_by_autograd, take_turns


@contextmanager
def plain_losses(head: PanopticFCNHead) -> Iterator[None]:
    def at_once(function, *rows, row_size):
        return function(*rows)

    dice = DiceLoss(eps=1e-8, loss_weight=head.loss_thing.loss_weight)
    with (
        mock.patch('mmpfcn.models.losses.sum_over_chunks', at_once),
        mock.patch.object(head, 'loss_thing', dice),
    ):
        yield


class Step:
    """A training step in parts, each of which takes what the one before has left."""

    def __init__(self, model: nn.Module, batch: dict) -> None:
        self.model, self.head, self.batch = model, model.panoptic_head, batch

    def network(self) -> None:
        """Forward and backward; leaves the output cut off from the network."""
        levels, mask_feats = self.head(self.model.extract_feat(self.batch['inputs']))
        outputs = [*(x for level in levels for x in level), mask_feats]
        torch.autograd.backward(outputs, [torch.ones_like(x) for x in outputs])
        self.model.zero_grad()
        self.leaves = [x.detach().requires_grad_() for x in outputs]
        levels = range(0, len(self.leaves) - 1, 3)
        self.output = [LevelMaps(*self.leaves[i : i + 3]) for i in levels], self.leaves[-1]

    def targets(self) -> None:
        self.goal = self.head.get_targets(*self.output, self.batch['data_samples'])

    def compute_losses(self) -> Tensor:
        return sum(self.head.loss_by_feat(*self.output, self.goal).values())

    def losses(self) -> None:
        self.compute_losses().backward()

    def plain(self) -> None:
        with plain_losses(self.head):
            self.losses()

    def kept(self) -> float:
        return kept_by_autograd(self.compute_losses, [*self.leaves, *self.head.parameters()])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--objects', type=from_1, nargs='+', default=[1, 10, 40, 100, 300])
    parser.add_argument('--batch-size', type=from_1, default=2)
    add_size(parser, 320, 569)


def measure(args: argparse.Namespace) -> Iterator[dict[str, str]]:
    model = Candidate('r50_coco', 'r50_coco').build(torch.device('cpu'))
    head, size = model.train().panoptic_head, tuple(args.size)
    classes, steps = (head.num_things_classes, head.num_stuff_classes), {}
    for number in args.objects:
        batch = training_batch(size, args.batch_size, number, classes, bitmaps=False)
        steps[number] = Step(model, model.data_preprocessor(batch, training=True))
    names = 'network', 'targets', 'losses', 'plain'
    parts = {(n, name): getattr(step, name) for n, step in steps.items() for name in names}
    times = take_turns(parts, args.repeats)
    # of all rounds: it does not depend on the objects
    network = median(value for n in steps for value in times[n, 'network'])
    first = None
    for number, step in steps.items():
        targets, losses, plain = (median(times[number, name]) for name in names[1:])
        whole = network + targets + losses
        first = first or whole
        with plain_losses(head):
            kept_plain = step.kept()
        yield {
            'objects an image': str(number),
            'pairs with a level': str(sum(len(m.objects) for g in step.goal for m in g.levels)),
            'network': f'{network:.0f} ms',
            'targets': f'{targets:.1f} ms',
            'losses': f'{losses:.0f} ms',
            'plain': f'{plain:.0f} ms',
            'targets + losses of the step': f'{(targets + losses) / whole:.1%}',
            'step': f'{whole / first:.2f}',
            'kept': f'{step.kept():.0f} MiB',
            'kept, plain': f'{kept_plain:.0f} MiB',
        }
