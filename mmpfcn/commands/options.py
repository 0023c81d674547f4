"""What the command lines of train.py and test.py have in common.

Mistakes that can be seen before a model is built, and checkpoints that are refused, end the program
with a message and exit code 2.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config, DictAction

AMP_DTYPES = {'fp16': 'float16', 'bf16': 'bfloat16'}


class CfgOptions(DictAction):
    """mmengine's KEY=VALUE parser with a message instead of a traceback."""

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            super().__call__(parser, namespace, values, option_string)
        except (ValueError, AssertionError) as error:
            raise argparse.ArgumentError(
                self,
                'expected KEY=VALUE pairs, with balanced brackets and without spaces around "=", '
                f'such as train_cfg.max_iters=100; got {" ".join(values)!r}',
            ) from error


def base_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of both tools."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file, such as configs/panoptic_fcn/r50_coco.py')
    parser.add_argument(
        '--work-dir',
        help='folder of logs, config and checkpoints; default: work_dir of the config, or else '
        './work_dirs/<name of the config>',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help='override settings of the config, such as train_dataloader.batch_size=2 or, for '
        'lists, key="[a,b]"; without white space inside',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the network by torch.compile, which takes a few minutes at the start',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes of a distributed run',
    )
    # torch.distributed.launch passes --local-rank, before PyTorch 2.0 --local_rank.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def require_file(parser: argparse.ArgumentParser, what: str, path: str) -> None:
    """Exit with a message unless the path is a file or an address such as https://..."""
    if '://' not in path and not Path(path).is_file():
        parser.error(f'{what} is not a file: {path} (looked for in {Path.cwd()})')


def load_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Config:
    """Read the config and merge what the command line says about it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    require_file(parser, 'config', args.config)
    if importlib.util.find_spec('mmpfcn') is None:
        parser.error(
            f'mmpfcn is not installed for {sys.executable}: run "pip install -e ." in the '
            'repository, or use the python of the environment that "make venv" makes'
        )
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    try:
        cfg.merge_from_dict(args.cfg_options or {})
    except (KeyError, TypeError) as error:
        parser.error(f'--cfg-options does not fit {args.config}: {error.args[0]}')
    if getattr(args, 'compile', False):  # other tools have no such flag
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='CompileNetworkHook')]
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'./work_dirs/{Path(args.config).stem}'
    return cfg


@contextmanager
def exit_if_refused() -> Iterator[None]:
    """Read checkpoints without running code; end a process, each of a distributed run, where one
    is refused.
    """
    from mmpfcn.apis.checkpoint import CheckpointError, use_safe_loader

    use_safe_loader()
    try:
        yield
    except CheckpointError as error:
        print(f'{Path(sys.argv[0]).name}: error: {error}', file=sys.stderr)
        sys.exit(2)
