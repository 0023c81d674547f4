"""Test a model: python tools/test.py configs/panoptic_fcn/r50_coco.py CHECKPOINT"""

import argparse
from pathlib import Path

import torch
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmengine.config import Config
from mmengine.device import get_device

from .options import AMP_DTYPES, add_accelerate, base_parser, load_config, require_checkpoint
from .processes import build_runner, processes


def make_parser() -> argparse.ArgumentParser:
    parser = base_parser('Test a model')
    add = parser.add_argument
    add('checkpoint', help='file or address of the weights')
    add(
        '--out',
        metavar='PREFIX',
        help='write the predictions in COCO panoptic format, with scores: PREFIX.panoptic.json and '
        'PNGs in PREFIX.panoptic/',
    )
    add('--show', action='store_true', help='show each picture in a window')
    add(
        '--show-dir',
        help='write a picture (input, ground truth, prediction) of each image to this folder: an '
        'absolute path, or one below <work dir>/<time>/; a distributed run writes those of its '
        'first process only',
    )
    add('--wait-time', type=float, default=2, help='seconds that --show shows a picture for')
    add(
        '--amp',
        choices=AMP_DTYPES,
        help='run the network in mixed precision; on a CPU there is bf16 only',
    )
    add_accelerate(parser)
    add('--tta', action='store_true', help=argparse.SUPPRESS)
    return parser


def test_config(argv: list[str] | None = None) -> Config:
    """The complete config of the run that a command line asks for.

    With --amp its type becomes the default of autocast, which mmengine's loop takes.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.tta:
        parser.error(
            'there is no --tta: the kernels of Panoptic FCN belong to one input image, '
            'and mmdet cannot merge panoptic maps of several'
        )
    require_checkpoint(parser, 'checkpoint', args.checkpoint)
    if args.out is not None and Path(args.out).suffix in ('.pkl', '.pickle', '.json'):
        stem = args.out.removesuffix('.json').removesuffix('.panoptic')
        parser.error(
            f'--out is the start of the names of a JSON and a folder of PNGs, without an ending: '
            f'got {args.out}, expected such as {Path(stem).with_suffix("")}'
        )
    cfg = load_config(parser, args)
    cfg.load_from = args.checkpoint
    if args.amp is not None:
        device = get_device()
        if device == 'cpu' and args.amp != 'bf16':
            parser.error(f'--amp {args.amp} needs a GPU, and PyTorch finds none: use --amp bf16')
        torch.set_autocast_dtype(device, getattr(torch, AMP_DTYPES[args.amp]))
        cfg.test_cfg.fp16 = True  # mmengine's name for autocast of any type
    if args.accelerate and get_device() == 'cpu':
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='AccelerateInferenceHook')]
    if args.show or args.show_dir:
        if 'visualization' not in cfg.get('default_hooks', {}):
            parser.error(
                f'--show and --show-dir: {args.config} has no default_hooks.visualization;'
                " set it to dict(type='DetVisualizationHook')"
            )
        cfg = trigger_visualization_hook(cfg, args)
    if args.out is not None:
        metrics = cfg.get('test_evaluator')
        if metrics is None:
            parser.error('--out: the config has no test_evaluator, which the files are written by')
        writer = dict(type='PanopticQualityMetric', outfile_prefix=args.out, format_only=True)
        # first of all, as mmdet's ``CocoPanopticMetric`` changes the predictions
        cfg.test_evaluator = [writer, *(metrics if isinstance(metrics, list) else [metrics])]
    return cfg


def main() -> None:
    cfg = test_config()
    with processes(cfg):
        build_runner(cfg, 'test_loop').test()
