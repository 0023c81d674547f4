"""Time and memory of everything after the network, from the maps of the levels to a panoptic map.

    python tools/analysis_tools/benchmark_postprocessing.py --things 0 10 40 100 --out 427 640
    python tools/analysis_tools/benchmark_postprocessing.py --img 800 1333 --out 1200 2000 --memory

What the network says is drawn: peaks of --things objects and all region classes, with kernels that
make discs and Voronoi cells with noise. So the number of objects is exact, which an untrained
network cannot give. The network runs in turns with the rest, for the share of its time.
"""

import argparse
import multiprocessing
import platform
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmpfcn.commands.check import statistics
from mmpfcn.structures import LevelMaps


def disc_kernels(centers: Tensor, radii: Tensor, edge: float, width: int) -> Tensor:
    """(n, width) kernels whose logits on :func:`draw_mask_feats` are positive inside a disc.

    Args:
        centers: (n, 2) x, y in units.
        radii: (n,) in units.
        edge: the logits change by 1 over this distance at the border, in units.
        width: E. What the disc does not need is noise, different for each kernel.
    """
    geometry = torch.stack(
        [radii**2 - centers.square().sum(1), *2 * centers.T, -torch.ones_like(radii)], 1
    )
    noise = torch.randn(len(radii), width - 4)
    return torch.cat([geometry, noise], 1) / (2 * radii * edge)[:, None]


def draw_mask_feats(size: tuple[int, int], unit: float, width: int) -> Tensor:
    """(1, E, H/4, W/4): 1, x, y, x^2 + y^2 in units of pixels, and noise."""
    y, x = (torch.arange(n) * 4 + 1.5 for n in size)
    y, x = torch.meshgrid(y / unit, x / unit, indexing='ij')
    feats = 3e-4 * torch.randn(1, width, *size)
    feats[0, :4] = torch.stack([torch.ones_like(x), x, y, x**2 + y**2])
    return feats


def draw_scene(
    img_shape: tuple[int, int], num_things: int, num_classes: tuple[int, int], widths: tuple
) -> tuple[list[LevelMaps], Tensor]:
    """What the network might say about an image.

    Args:
        img_shape: of the input without padding.
        num_things: objects, each a peak on one of the three finest levels; at most 150.
        num_classes: thing classes T, region classes R.
        widths: C and E.

    Returns:
        Maps of P3..P7 of one image, and mask_feats.
    """
    torch.manual_seed(0)
    (num_labels, num_regions), (raw_width, width) = num_classes, widths
    padded, unit = [-(-side // 32) * 32 for side in img_shape], max(img_shape) / 2
    span = torch.tensor(img_shape[::-1]) / unit
    # diameters of 24 to 640 pixels at 800 x 1333, in equal share on a logarithmic scale
    radii = 10 ** (torch.rand(num_things) * 1.43 - 1.745)
    things = disc_kernels(torch.rand(num_things, 2) * span, radii, 0.008, width)
    seeds = torch.rand(num_regions, 2) * span
    spacing = (span.prod() / num_regions).sqrt()
    regions = disc_kernels(seeds, spacing.expand(num_regions), 0.03, width)
    levels = []
    for number, stride in enumerate((8, 16, 32, 64, 128)):
        h, w = (-(-side // stride) for side in padded)
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
        cells = torch.stack([x.flatten(), y.flatten()], 1) * stride / unit
        nearest = torch.cdist(cells, seeds).argmin(1)
        share = nearest.bincount(minlength=num_regions).clamp(min=1) / (h * w)
        kernels = torch.zeros(h * w, raw_width)
        # the kernel of a region is a sum over its cells divided by all cells
        kernels[:, :width] = (regions / share[:, None])[nearest]
        centers = torch.randn(num_labels, h, w) * 0.3 - 6
        rows = torch.arange(num_things)[number::3] if number < 3 else torch.arange(0)
        spots = ((y % 2 == 0) & (x % 2 == 0)).flatten().nonzero()[:, 0]  # no two are neighbours
        spots = spots[torch.randperm(len(spots))[: len(rows)]]
        kernels[spots, :width] = things[rows]
        centers.flatten(1)[rows % num_labels, spots] = 3.0
        region_logits = torch.randn(num_regions, h * w) * 0.5 - 4
        region_logits[nearest, torch.arange(h * w)] += 6
        levels.append(
            LevelMaps(centers[None], region_logits.view(1, -1, h, w), kernels.T.view(1, -1, h, w))
        )
    return levels, draw_mask_feats([side // 4 for side in padded], unit, width)


class Inference:
    """A model with random weights whose head sees drawn maps.

    Args:
        config: of the model.
        num_things: objects drawn.
        img_shape: of the input without padding.
        out_shape: of the results.
    """

    def __init__(self, config: str, num_things: int, img_shape: tuple, out_shape: tuple) -> None:
        init_default_scope('mmdet')
        self.model = MODELS.build(Config.fromfile(config).model).eval()
        head = self.model.panoptic_head
        embeddings = head.kernel_generator.thing_embed, head.kernel_generator.stuff_embed
        for embed in embeddings:  # they keep the first E numbers of a raw kernel
            torch.nn.init.eye_(embed.weight)
            torch.nn.init.zeros_(embed.bias)
        num_classes = head.num_things_classes, len(head.region_labels)
        widths = embeddings[0].in_features, embeddings[0].out_features
        self.draw = lambda: draw_scene(img_shape, num_things, num_classes, widths)
        self.samples = [DetDataSample(metainfo=dict(img_shape=img_shape, ori_shape=out_shape))]
        self.image = torch.randn(1, 3, *(-(-side // 32) * 32 for side in img_shape))

    @torch.no_grad()
    def network(self) -> list[Tensor]:
        """Everything that is computed from pixels; returns P2..P7."""
        feats = self.model.extract_feat(self.image)
        type(self.model.panoptic_head).forward(self.model.panoptic_head, feats)
        return feats

    @torch.no_grad()
    def kernels(self) -> tuple[list, list]:
        """Peaks, regions, kernel fusion and the mask convolution."""
        return self.model.panoptic_head.predict([], self.samples)

    @torch.no_grad()
    def results(self, things: list, regions: list) -> dict:
        return self.model.panoptic_fusion_head.predict(things, regions, self.samples)[0]


def medians(steps: list[Callable[[], object]], repeats: int) -> list[float]:
    """Milliseconds of steps that take turns, after one warm-up."""
    times = [[] for _ in steps]
    for _ in range(repeats + 1):
        for step, taken in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            taken.append(1000 * (time.perf_counter() - start))
    return [statistics.median(taken[1:]) for taken in times]


def time_row(args: argparse.Namespace, num_things: int) -> str:
    inference = Inference(args.config, num_things, tuple(args.img), tuple(args.out))
    scene = inference.draw()
    inference.model.panoptic_head.forward = lambda feats: scene
    kernels = inference.kernels()
    found, segments = len(kernels[0][0]), inference.results(*kernels)['pan_results'].segments_info
    steps = [inference.network, inference.kernels, lambda: inference.results(*kernels)]
    network, *ours = medians(steps, args.repeats)
    share = 100 * sum(ours) / network
    return (
        f'| {found} | {len(segments)} | {network:.0f} | {ours[0]:.0f} | {ours[1]:.0f} '
        f'| {share:.1f} % |'
    )


def peak(sender: Connection, num_things: int | None, args: argparse.Namespace) -> None:
    """Send the MiB that inference adds to a process with all imports; None: the network alone."""
    torch.set_num_threads(args.threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inference = Inference(args.config, num_things or 0, tuple(args.img), tuple(args.out))
    feats = inference.network()
    if num_things is not None:
        scene = inference.draw()  # in place of what the network has said
        inference.model.panoptic_head.forward = lambda feats: scene
        inference.results(*inference.kernels())
    del feats
    sender.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def median_peak(num_things: int | None, args: argparse.Namespace) -> float:
    """Of ``--repeats`` fresh processes, as the allocator's peaks differ by a tenth."""
    context = multiprocessing.get_context('spawn')
    peaks = []
    for _ in range(args.repeats):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=peak, args=(sender, num_things, args))
        process.start()
        peaks.append(receiver.recv())
        process.join()
    return statistics.median(peaks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--config', default='configs/panoptic_fcn/r50_coco.py')
    parser.add_argument('--things', type=int, nargs='+', default=[0, 10, 40, 100], metavar='K',
                        help='objects in the image, up to 150')  # fmt: skip
    parser.add_argument('--img', type=int, nargs=2, default=[512, 683], metavar=('H', 'W'))
    parser.add_argument('--out', type=int, nargs=2, default=[427, 640], metavar=('H', 'W'))
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--memory', action='store_true', help='peak memory instead of time')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}; input '
          f'{args.img[0]} x {args.img[1]}, output {args.out[0]} x {args.out[1]}\n')  # fmt: skip
    if args.memory:
        network = median_peak(None, args)
        print('| objects | peak memory in MiB | of the network alone |\n|---|---|---|')
        print(f'| network alone | {network:.0f} | 1 |', flush=True)
        for num_things in args.things:
            mebibytes = median_peak(num_things, args)
            print(f'| {num_things} | {mebibytes:.0f} | {mebibytes / network:.2f} |', flush=True)
        return
    print('| objects | segments | network, ms | peaks to mask logits, ms | fusion head, ms '
          '| share of the network |\n|---|---|---|---|---|---|')  # fmt: skip
    for num_things in args.things:
        print(time_row(args, num_things), flush=True)


if __name__ == '__main__':
    main()
