"""Train a model: python tools/train.py configs/panoptic_fcn/r50_coco.py"""

import argparse
import importlib.util

from mmengine.config import Config
from mmengine.device import get_device

from mmpfcn.engine import newest_whole_checkpoint

from .options import AMP_DTYPES, base_parser, load_config, require_file
from .processes import build_runner, processes

# Those mmengine's AmpOptimWrapper knows.
AMP_DEVICES = ('cuda', 'npu', 'mlu', 'musa')
# Settings of an ``optim_wrapper`` that do not depend on its type.
WRAPPER_SETTINGS = ('constructor', 'optimizer', 'paramwise_cfg', 'accumulative_counts', 'clip_grad')


def make_parser() -> argparse.ArgumentParser:
    parser = base_parser('Train a model')
    add = parser.add_argument
    add(
        '--amp',
        nargs='?',
        const='fp16',
        choices=AMP_DTYPES,
        help='train in mixed precision; without a type: fp16; on a CPU there is bf16 only',
    )
    add(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the actual batch size over auto_scale_lr.base_batch_size',
    )
    add(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a path, from the latest one in the work dir',
    )
    add('--tensorboard', action='store_true', help='also log to TensorBoard, in the work dir')
    return parser


def train_config(argv: list[str] | None = None) -> Config:
    parser = make_parser()
    args = parser.parse_args(argv)
    device = get_device()
    instead = 'leave it out' + ', or use --amp bf16' * (device == 'cpu')
    lacking = f'needs one of {", ".join(AMP_DEVICES)}, but PyTorch finds only {device}: {instead}'
    if args.amp and device not in AMP_DEVICES and (device, args.amp) != ('cpu', 'bf16'):
        parser.error(f'--amp {lacking}')
    if args.tensorboard and importlib.util.find_spec('tensorboard') is None:
        parser.error('--tensorboard needs the package tensorboard: pip install tensorboard')
    cfg = load_config(parser, args)
    backbone = cfg.get('model', {}).get('backbone', {})  # its weights are read long after this
    for weights in (backbone, backbone.get('init_cfg') or {}):
        if weights.get('checkpoint'):
            require_file(parser, 'the checkpoint of model.backbone', weights['checkpoint'])
    if args.resume not in (None, 'auto'):
        require_file(parser, '--resume', args.resume)
    if args.amp and device == 'cpu':
        use_wrapper(cfg, 'Bfloat16OptimWrapper')
    elif args.amp:
        use_wrapper(cfg, 'AmpOptimWrapper', loss_scale='dynamic', dtype=AMP_DTYPES[args.amp])
    kind = (cfg.get('optim_wrapper') or {}).get('type')
    if kind == 'AmpOptimWrapper' and device not in AMP_DEVICES:
        parser.error(f'optim_wrapper.type={kind!r} {lacking}')
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            parser.error(
                f'--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size, '
                'the batch size its learning rate is for'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume, cfg.load_from = True, args.resume
    if args.resume == 'auto':
        # mmengine's last_checkpoint may name one that a kill or a full disk cut off
        newest = newest_whole_checkpoint(cfg.work_dir)
        cfg.load_from = None if newest is None else str(newest)
    if args.tensorboard:
        backends = list(cfg.visualizer.get('vis_backends') or [])
        if all(backend.type != 'TensorboardVisBackend' for backend in backends):
            backends.append(dict(type='TensorboardVisBackend'))
        cfg.visualizer.vis_backends = backends
    return cfg


def use_wrapper(cfg: Config, kind: str, **settings: str) -> None:
    """Make the optimizer's wrapper one of this type; what only another type knows goes."""
    wrapper = cfg.get('optim_wrapper') or {}  # mmengine refuses a training without
    if wrapper.get('type') != kind:
        for key in wrapper.keys() - WRAPPER_SETTINGS:
            del wrapper[key]
    wrapper.update(settings, type=kind)


def main() -> None:
    cfg = train_config()
    with processes(cfg):
        build_runner(cfg, 'train_loop', 'val_loop').train()
