"""Make a checkpoint fit for publishing: weights and what inference needs, nothing else.

    python tools/model_converters/publish_model.py work_dirs/r50_coco/iter_90000.pth r50_coco.pth

writes ``r50_coco-<8 digits of its SHA-256>.pth``, which loads with ``weights_only=True``. The names
of the classes and the config stay in it; optimizer, schedulers, random states and logs go.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import mmpfcn
from mmpfcn.apis.checkpoint import config_of, file_hash, read_checkpoint, write_checkpoint

from .options import new_parser

HASH_DIGITS = 8
META = ('classes', 'thing_classes', 'stuff_classes', 'palette', 'category_ids')


def strip(checkpoint: dict, path: str) -> dict:
    """``state_dict`` on the CPU, and ``meta`` of plain values."""
    dataset_meta = checkpoint.get('meta', {}).get('dataset_meta', {})
    dataset_meta = {key.lower(): value for key, value in dataset_meta.items()}
    meta = dict(
        mmpfcn_version=mmpfcn.__version__,
        dataset_meta={key: _plain(dataset_meta[key]) for key in META if key in dataset_meta},
    )
    try:
        config_of(checkpoint, path)  # is it there, and nothing but values?
    except ValueError as error:
        print(f'without its config: {error}', file=sys.stderr)
    else:
        info = checkpoint.get('message_hub', {}).get('runtime_info', {})
        meta['cfg'] = info.get('cfg') or checkpoint['meta']['cfg']
    weights = {name.removeprefix('module.'): w for name, w in checkpoint['state_dict'].items()}
    return dict(state_dict={name: w.detach().cpu() for name, w in weights.items()}, meta=meta)


def _plain(value: object) -> object:
    """Lists for what else is a sequence, and Python's numbers."""
    if isinstance(value, str | int | float | None):
        return value
    return [_plain(item) for item in value]


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser(__doc__)
    parser.add_argument('source', metavar='IN', help='checkpoint of a training')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='file to write, .pth; gets a hash in its name'
    )
    parser.add_argument('--trust', action='store_true', help='load IN with pickle: runs its code')
    args = parser.parse_args(argv)
    if args.target.suffix != '.pth':
        parser.error(f'OUT must end in .pth, got {args.target}')
    try:
        checkpoint = read_checkpoint(args.source, args.trust)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    partial = args.target.with_name(f'.{args.target.name}.{os.getpid()}.pth')
    try:
        write_checkpoint(strip(checkpoint, args.source), partial)
        torch.load(partial, weights_only=True)  # what users will do
        name = f'{args.target.stem}-{file_hash(partial)[:HASH_DIGITS]}.pth'
        partial.replace(args.target.with_name(name))
    except OSError as error:
        print(f'{args.target} could not be written: {error}', file=sys.stderr)
        return 1
    finally:
        partial.unlink(missing_ok=True)
    print(args.target.with_name(name))
    return 0
