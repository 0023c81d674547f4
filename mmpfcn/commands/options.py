"""What command lines have in common: how a config is read and its settings are overridden.

Mistakes that can be seen before a model is built, and checkpoints that are refused, end the program
with a message and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmpfcn.formats.atomic_files import require_writable, write_atomic

from .cfg_options import CfgOptions

if TYPE_CHECKING:  # the ONNX commands have no mmengine
    from mmengine.config import Config

AMP_DTYPES = {'fp16': 'float16', 'bf16': 'bfloat16'}
WRONG_FILE = (OSError, ValueError)
WRONG = (*WRONG_FILE, KeyError, TypeError)  # errors that come of a config, or of what it names


def new_parser(description: str) -> argparse.ArgumentParser:
    """A parser whose help has the description line by line."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def number_from(least: int, text: str) -> int:
    """The type of an argument that is a whole number."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f'got {text}, expected a whole number from {least} on')
    return int(text)


from_0, from_1 = partial(number_from, 0), partial(number_from, 1)


def add_workers(parser: argparse.ArgumentParser, number: Callable[[str], int] = from_1) -> None:
    """Add ``--workers``, a number of processes: one for each core that there is for this one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    add = parser.add_argument
    add('--workers', type=number, default=cores, help='number of processes (%(default)s)')


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--device', help='such as cuda:0 or cpu; default: the best there is')


def add_accelerate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--accelerate',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='on a CPU: faster, for more memory; results differ by rounding',
    )


def add_config_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--cfg-options`` with an example of this command."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        help=f'override settings of the config, such as {example}; a list is key="[a,b]", blanks '
        'inside a value are kept',
    )


def base_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of both tools."""
    parser = new_parser(description)
    parser.add_argument('config', help='config file, or a name such as r50_coco')
    parser.add_argument(
        '--work-dir',
        help='folder of logs, config and checkpoints; default: work_dir of the config, or else '
        './work_dirs/<name of the config>',
    )
    add_config_options(parser, 'train_dataloader.batch_size=2')
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


def write_or_exit(parser: argparse.ArgumentParser, path: Path, content: bytes, what: str) -> None:
    """Write what ``--out`` names, whole, and say so, or exit with a message."""
    with wrong_ends(parser, kinds=(OSError,)):
        write_out(path, content)
    print(f'{what}: {path}')


def write_out(path: str | Path, content: bytes) -> None:
    """Write what ``--out`` names, whole; OSError says what to do where it can not be."""
    with _another('--out', path):
        write_atomic(path, content)


def require_out(parser: argparse.ArgumentParser, path: Path, option: str = '--out') -> None:
    """Exit with a message where a file that is written after the work could not be."""
    with wrong_ends(parser, kinds=(OSError,)), _another(option, path):
        require_writable(path)


@contextmanager
def _another(option: str, path: str | Path) -> Iterator[None]:
    try:
        yield
    except IsADirectoryError as error:
        raise OSError(f'{option} {path} is a folder, expected the name of a file') from error
    except OSError as error:
        reason = f'{option} {path} can not be written ({error})'
        raise OSError(f'{reason}: give another {option}') from error


def require_checkpoint(parser: argparse.ArgumentParser, what: str, name: str) -> None:
    """Exit with a message unless it is a file, an address or a published model that is here."""
    from mmpfcn.apis.configs import model_index
    from mmpfcn.apis.pretrained import CheckpointError, find_pretrained

    if not Path(name).is_dir() and name not in model_index():
        require_file(parser, what, name)
        return
    with wrong_ends(parser, kinds=(CheckpointError,)):
        find_pretrained(name)


def load_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Config:
    """Read the config and merge what the command line says about it.

    ``args.config`` becomes the path of its file, where a name was given.
    """
    from mmpfcn.apis.configs import read_config

    if 'local_rank' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = read_config(args.config)
    except FileNotFoundError as error:
        parser.error(str(error))
    except Exception as error:  # a config is a program, which may do anything
        parser.error(f'config {args.config} can not be read: {type(error).__name__}: {error}')
    args.config = cfg.filename
    cfg.launcher = getattr(args, 'launcher', 'none')
    with wrong_ends(parser, f'--cfg-options does not fit {args.config}: ', (KeyError, TypeError)):
        cfg.merge_from_dict(args.cfg_options or {})
    if getattr(args, 'compile', False):
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='CompileNetworkHook')]
    if getattr(args, 'work_dir', None) is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'./work_dirs/{Path(args.config).stem}'
    return cfg


def error_text(error: Exception) -> str:
    """Without the quotes of a KeyError."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


@contextmanager
def wrong_ends(
    parser: argparse.ArgumentParser, before: str = '', kinds: tuple[type[Exception], ...] = WRONG
) -> Iterator[None]:
    """Exit with the message of an error of these kinds, and what stands before it."""
    try:
        yield
    except kinds as error:
        parser.error(f'{before}{error_text(error)}')


@contextmanager
def exit_if_refused(*errors: type[Exception]) -> Iterator[None]:
    """Read checkpoints without running code; end a process, each of a distributed run, where one
    or weights of a backbone are refused, or at one of the errors.
    """
    from mmpfcn.apis.checkpoint import CheckpointError, use_safe_loader
    from mmpfcn.models.timm_backbone import BackboneWeightsError

    use_safe_loader()
    try:
        yield
    except (CheckpointError, BackboneWeightsError, *errors) as error:
        print(f'{Path(sys.argv[0]).name}: error: {error_text(error)}', file=sys.stderr)
        sys.exit(2)
