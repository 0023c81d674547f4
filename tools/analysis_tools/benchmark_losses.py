"""Time targets and losses with their gradients against the network, by the number of objects.

    python tools/analysis_tools/benchmark_losses.py --objects 1 10 40 100 300

Training steps of r50_coco on drawn images with random weights. "Network" is forward and backward of
all but targets and losses; "losses" are the losses and their gradients up to the network's output,
and "plain" the same with mmdet's ``DiceLoss`` on the logits of all kernels of an image at once.
"Step" is relative to the first row. "Kept" is what autograd holds for the losses until backward,
besides the network's output. Times are medians of rounds in which everything is measured once.
"""

import argparse
import platform
import statistics
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import mmdet
import torch
from benchmarking.scenes import training_batch
from mmdet.models.losses import DiceLoss
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmpfcn import PanopticFCNHead
from mmpfcn.models import panoptic_fcn_head
from mmpfcn.structures import LevelMaps

CONFIG = 'configs/panoptic_fcn/r50_coco.py'
Output = tuple[list[LevelMaps], Tensor]


@contextmanager
def plain_losses(head: PanopticFCNHead) -> Iterator[None]:
    def at_once(function, *rows, row_size, shared=()):
        return function(*rows, *shared)

    dice = DiceLoss(eps=1e-8, loss_weight=head.loss_thing.loss_weight)
    with (
        mock.patch.object(panoptic_fcn_head, 'sum_over_chunks', at_once),
        mock.patch.object(head, 'loss_thing', dice),
    ):
        yield


def timed(function: Callable, *args) -> tuple[float, object]:
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def train_network(model: nn.Module, images: Tensor) -> Output:
    """Forward and backward; gives the output cut off from the network."""
    levels, mask_feats = model.panoptic_head(model.extract_feat(images))
    outputs = [*(x for level in levels for x in level), mask_feats]
    torch.autograd.backward(outputs, [torch.ones_like(x) for x in outputs])
    leaves = [x.detach().requires_grad_() for x in outputs]
    return [LevelMaps(*leaves[i : i + 3]) for i in range(0, len(leaves) - 1, 3)], leaves[-1]


def train_losses(head: PanopticFCNHead, output: Output, targets: list) -> None:
    sum(head.loss_by_feat(*output, targets).values()).backward()


def kept(head: PanopticFCNHead, output: Output, targets: list) -> float:
    """MiB that autograd holds for the losses after they are computed."""
    alive = weakref.WeakSet()

    class Box:
        def __init__(self, tensor: Tensor) -> None:
            self.storage = tensor.untyped_storage()
            self.tensor = tensor
            alive.add(self)

    inputs = [*(x for level in output[0] for x in level), output[1], *head.parameters()]
    known = {x.untyped_storage().data_ptr() for x in inputs}
    with torch.autograd.graph.saved_tensors_hooks(Box, lambda box: box.tensor):
        losses = head.loss_by_feat(*output, targets)
    sizes = {box.storage.data_ptr(): box.storage.nbytes() for box in alive}
    del losses
    return sum(size for pointer, size in sizes.items() if pointer not in known) / 2**20


def measure(model: nn.Module, batches: dict[int, dict], repeats: int) -> dict:
    """Seconds of each step by the number of objects, after a round of warm-up."""
    head, times = model.panoptic_head, {}
    for repeat in range(repeats + 1):
        for num_objects, batch in batches.items():
            samples = batch['data_samples']
            network, output = timed(train_network, model, batch['inputs'])
            assign, targets = timed(head.get_targets, *output, samples)
            losses, _ = timed(train_losses, head, output, targets)
            with plain_losses(head):
                plain, _ = timed(train_losses, head, output, targets)
            model.zero_grad()
            if repeat:
                times.setdefault(num_objects, []).append((network, assign, losses, plain))
    return times


def print_table(model: nn.Module, batches: dict[int, dict], times: dict) -> None:
    head = model.panoptic_head
    # of all rounds: it does not depend on the objects
    network = statistics.median(x[0] for rounds in times.values() for x in rounds)
    print(f'network: {1000 * network:.0f} ms\n')
    print(
        '| objects an image | pairs with a level | targets | losses | plain | targets + losses of '
        'the step | step | kept | plain |\n' + '|---' * 9 + '|'
    )
    first = None
    for num_objects, batch in batches.items():
        _, *medians = (statistics.median(x) for x in zip(*times[num_objects], strict=True))
        assign, losses, plain = medians
        _, output = timed(train_network, model, batch['inputs'])
        targets = head.get_targets(*output, batch['data_samples'])
        pairs = sum(len(level.objects) for image in targets for level in image.levels)
        held = kept(head, output, targets)
        with plain_losses(head):
            plain_held = kept(head, output, targets)
        step = network + assign + losses
        first = first or step
        print(
            f'| {num_objects} | {pairs} | {1000 * assign:.1f} ms | {1000 * losses:.0f} ms | '
            f'{1000 * plain:.0f} ms | {(assign + losses) / step:.1%} | {step / first:.2f} | '
            f'{held:.0f} MiB | {plain_held:.0f} MiB |'
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--objects', type=int, nargs='+', default=[1, 10, 40, 100, 300])
    parser.add_argument('--size', type=int, nargs=2, default=(320, 569), metavar=('H', 'W'))
    parser.add_argument('--batch-size', type=int, default=2)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmdet')
    config = Config.fromfile(CONFIG).model
    config.backbone.init_cfg = None
    model = MODELS.build(config).train()
    classes = model.num_things_classes, model.num_stuff_classes
    batches = {}
    for num_objects in args.objects:
        batch = training_batch(tuple(args.size), args.batch_size, num_objects, classes, False)
        batches[num_objects] = model.data_preprocessor(batch, training=True)
    print(
        f'{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, '
        f'mmdet {mmdet.__version__}; batch of {args.batch_size} at {args.size[0]} x '
        f'{args.size[1]}, {args.threads} threads, {args.repeats} repeats\n'
    )
    print_table(model, batches, measure(model, batches, args.repeats))


if __name__ == '__main__':
    main()
