"""Parameters and floating-point operations of every part of a Panoptic FCN.

    python tools/analysis_tools/get_flops.py configs/panoptic_fcn/r50_coco.py --shape 800 1333

Counted are convolutions and matrix products, as usual; norms, activations, upsampling and the
interpolation inside deformable convolutions are not. A deformable convolution counts as the plain
one of its size and the one that predicts its offsets, whatever computes it. Embeddings and masks
depend on the image: they are counted for --kernels. A multiply-add (MAC) is two operations; what
mmdet and fvcore print as "FLOPs" are MACs.
"""

from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import torch
import torch.nn.functional as F
from benchmarking.candidates import without_pretraining
from benchmarking.report import table
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mmpfcn import ModulatedDeformConv, PanopticFCN
from mmpfcn.commands.options import add_config_options, load_config, new_parser
from mmpfcn.models.layers import convolve

GENERATOR = 'panoptic_head.kernel_generator'
PARTS = {
    'backbone': ['backbone'],
    'neck': ['neck'],
    'position head': [f'{GENERATOR}.{x}' for x in ('position_convs', 'center_out', 'region_out')],
    'kernel head': [f'{GENERATOR}.{x}' for x in ('kernel_convs', 'kernel_out')],
    'feature encoder': ['panoptic_head.feature_encoder'],
    'embeddings': [f'{GENERATOR}.{x}' for x in ('thing_embed', 'stuff_embed')],
}
OPTIONAL = ('class_path', 'kernel_update')
"""Parts of the head that not every model has."""


class Part(NamedTuple):
    """Parameters, and operations for one image."""

    params: int
    flops: int


def count_parts(model: PanopticFCN, shape: tuple[int, int], num_kernels: int) -> dict[str, Part]:
    """Parameters and operations of every part and of the masks.

    The model is moved to the meta device, on which nothing is computed. The image has (H, W)
    pixels, padded here, and kernels that are each embedded and convolved with ``mask_feats``.
    """
    divisor = model.data_preprocessor.pad_size_divisor
    h, w = (-(-side // divisor) * divisor for side in shape)
    model = model.eval().to('meta')
    generator, update = model.panoptic_head.kernel_generator, model.panoptic_head.kernel_update
    deformable = patch.object(ModulatedDeformConv, 'forward', plain)
    with torch.no_grad(), deformable:
        with FlopCounterMode(display=False) as counter:
            levels, mask_feats = model(torch.empty(1, 3, h, w, device='meta'), mode='tensor')
            kernels = torch.empty(num_kernels, levels[0].kernels.shape[1], device='meta')
            kernels = generator.thing_embed(kernels)
            if update:
                labels = torch.empty(num_kernels, dtype=torch.int64, device='meta')
                kernels = update(kernels, labels, mask_feats[0])[-1].kernels
        with FlopCounterMode(display=False) as of_masks:
            convolve(kernels, mask_feats[0])
    counted = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    parts = {}
    optional = (x for x in OPTIONAL if getattr(model.panoptic_head, x))
    more = {x.replace('_', ' '): [f'panoptic_head.{x}'] for x in optional}
    for name, paths in (PARTS | more).items():
        params = (p.numel() for path in paths for p in model.get_submodule(path).parameters())
        # a list is never called itself, but its members are
        wanted = {f'{type(model).__name__}.{path}' for path in paths}
        lists = wanted - counted.keys()
        flops = (n for at, n in counted.items() if at in wanted or at.rpartition('.')[0] in lists)
        parts[name] = Part(sum(params), sum(flops))
    return parts | {'masks': Part(0, of_masks.get_total_flops())}


def plain(conv: ModulatedDeformConv, x: Tensor) -> Tensor:
    """A deformable convolution as a plain one behind the one that predicts its offsets."""
    conv.conv_offset(x)
    return F.conv2d(
        x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups
    )


def markdown(parts: dict[str, Part]) -> str:
    total = Part(*(sum(column) for column in zip(*parts.values(), strict=True)))
    lines = (
        [name, *(f'{x:.2f}' for x in (p / 1e6, f / 1e9, f / 2e9)), f'{f / total.flops:.1%}']
        for name, (p, f) in [*parts.items(), ('sum', total)]
    )
    return table(['part', 'parameters (M)', 'GFLOPs', 'GMACs', 'share'], lines)


def main(argv: list[str] | None = None) -> None:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of a Panoptic FCN')
    add('--shape', type=int, nargs=2, default=(800, 1333), metavar=('H', 'W'))
    add('--kernels', type=int, default=100, help='kernels of the image, of things and stuff')
    add_config_options(parser, 'model.backbone.depth=101')
    args = parser.parse_args(argv)
    if min(*args.shape, args.kernels) < 1:
        parser.error('--shape and --kernels are numbers from 1 on')
    config = load_config(parser, args)
    init_default_scope('mmdet')
    without_pretraining(config.model)
    model = MODELS.build(config.model)
    if not isinstance(model, PanopticFCN):
        parser.error(f'{args.config} is a {type(model).__name__}, expected a PanopticFCN')
    parts = count_parts(model, args.shape, args.kernels)
    h, w = args.shape
    print(f'{Path(args.config).stem}, input {h} x {w}, {args.kernels} kernels\n')
    print(markdown(parts))


if __name__ == '__main__':
    main()
