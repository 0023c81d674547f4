"""Test a model: python tools/test.py configs/panoptic_fcn/r50_coco.py CHECKPOINT"""

import argparse
from collections.abc import Sequence
from copy import deepcopy

import torch
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from .options import AMP_DTYPES, base_parser, exit_if_refused, load_config, require_file
from .processes import processes


class NoTestTimeAugmentation(argparse.Action):
    """Says why mmdet's --tta is missing."""

    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(
            'there is no --tta: the kernels of Panoptic FCN belong to one input image, '
            'and mmdet cannot merge panoptic maps of several'
        )


class DumpUnspoiledResults(DumpDetResults):
    """mmdet's dump of the predictions as the model made them.

    ``CocoPanopticMetric`` writes 0 over the void of the map it is given (on the CPU), so this one
    must be the first metric and keep a copy.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        key = 'pred_panoptic_seg'
        super().process(
            data_batch,
            [
                {**sample, key: deepcopy(sample[key])} if key in sample else sample
                for sample in data_samples
            ],
        )


def make_parser() -> argparse.ArgumentParser:
    parser = base_parser('Test a model')
    parser.add_argument('checkpoint', help='file or address of the weights')
    parser.add_argument(
        '--out', metavar='PKL', help='write the predictions to this .pkl file (large)'
    )
    parser.add_argument('--show', action='store_true', help='show each picture in a window')
    parser.add_argument(
        '--show-dir',
        help='write a picture (input, ground truth, prediction) of each image to this folder: an '
        'absolute path, or one below <work dir>/<time>/; a distributed run writes those of its '
        'first process only',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that --show shows a picture for'
    )
    parser.add_argument(
        '--amp',
        choices=AMP_DTYPES,
        help='run the network in mixed precision; on a CPU there is bf16 only',
    )
    parser.add_argument(
        '--accelerate',
        action='store_true',
        help='faster on a CPU, for more memory; results differ by rounding',
    )
    parser.add_argument('--tta', action=NoTestTimeAugmentation, nargs=0, help=argparse.SUPPRESS)
    return parser


def test_config(argv: Sequence[str] | None = None) -> tuple[Config, str | None]:
    """The complete config of the run that a command line asks for, and the file of --out.

    With --amp its type becomes the default of autocast, which mmengine's loop takes.
    """
    parser = make_parser()
    args = parser.parse_args(argv)
    require_file(parser, 'checkpoint', args.checkpoint)
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out must end in .pkl or .pickle, got {args.out}')
    cfg = load_config(parser, args)
    cfg.load_from = args.checkpoint
    if args.amp is not None:
        device = get_device()
        if device == 'cpu' and args.amp != 'bf16':
            parser.error(f'--amp {args.amp} needs a GPU, and PyTorch finds none: use --amp bf16')
        torch.set_autocast_dtype(device, getattr(torch, AMP_DTYPES[args.amp]))
        cfg.test_cfg.fp16 = True  # mmengine's name for autocast of any type
    if args.accelerate:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='AccelerateInferenceHook')]
    if args.show or args.show_dir:
        if 'visualization' not in cfg.get('default_hooks', {}):
            parser.error(
                f'--show and --show-dir: {args.config} has no default_hooks.visualization;'
                " set it to dict(type='DetVisualizationHook')"
            )
        cfg = trigger_visualization_hook(cfg, args)
    return cfg, args.out


def main() -> None:
    cfg, out = test_config()
    setup_cache_size_limit_of_dynamo()
    with processes(cfg), exit_if_refused():
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        if out is not None:
            runner.test_evaluator.metrics.insert(0, DumpUnspoiledResults(out_file_path=out))
        runner.test()


if __name__ == '__main__':
    main()
