"""Make a checkpoint fit for publishing: weights and what inference needs, nothing else.

    mmpfcn publish work_dirs/r50_coco/iter_90000.pth my_model
    mmpfcn publish work_dirs/r50_coco/iter_90000.pth r50_coco.pth

The first makes a folder for ``PanopticInferencer.from_pretrained``, ``mmpfcn predict --model`` and
the Hugging Face Hub: ``model.safetensors`` (``model.pth`` where safetensors is not installed), its
``config.py`` and a model card, ``README.md``. The second makes one file with eight digits of its
SHA-256 in its name; ``.safetensors`` works too. Reading them runs no code. The names of the classes
and the config stay in the weights' file; optimizer, schedulers, random states and logs go.
"""

import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np

import mmpfcn
from mmpfcn.apis.checkpoint import (
    SAFETENSORS,
    config_of,
    config_text,
    file_hash,
    read_checkpoint,
    write_checkpoint,
)
from mmpfcn.apis.checkpoint_limits import CheckpointError
from mmpfcn.apis.pretrained import CONFIG, WEIGHTS
from mmpfcn.formats.atomic_files import require_writable

from .options import new_parser
from .page import fill_template

NO_METRIC = ('step', 'time', 'data_time')
NO_FIGURES = (
    'The checkpoint has none. In this folder `mmpfcn test config.py .` measures it on the data of '
    'its config.'
)


def model_card(checkpoint: dict, source: str, name: str) -> str:
    """Text of the card of a folder.

    The checkpoint has a ``state_dict`` and what else of a training's there is; beside its source,
    in a work dir, is the log of its validation.
    """
    meta = checkpoint.get('meta', {})
    # mmengine saves before it validates, so a checkpoint itself has only the validation before
    title = 'Of these weights, on the validation data of the config:'
    figures = _logged(meta, source)
    if not figures:
        title = 'Of the last validation of its training before these weights were saved:'
        logs = checkpoint.get('message_hub', {}).get('log_scalars', {})
        figures = {k[4:]: log.current() for k, log in logs.items() if k.startswith('val/')}
    names = {key.lower(): value for key, value in meta.get('dataset_meta', {}).items()}
    kinds = {'Things': 'thing_classes', 'Stuff': 'stuff_classes'}
    if 'thing_classes' not in names:
        kinds = {'Classes': 'classes'}
    return fill_template(
        'model_card.md',
        name=name,
        millions=sum(weight.numel() for weight in checkpoint['state_dict'].values()) / 1e6,
        iterations=meta.get('iter'),
        has_config=bool(config_text(checkpoint)),
        title=title,
        figures=figures,
        no_figures=NO_FIGURES,
        classes={kind: names[key] for kind, key in kinds.items() if names.get(key)},
    )


def _logged(meta: dict, source: str) -> dict[str, float]:
    """What the log of the run that saved the checkpoint says of its iteration."""
    run = str(meta.get('experiment_name', ''))[-len('20261129_062100') :]
    log = Path(source).parent / run / 'vis_data' / 'scalars.json'
    for line in log.read_text('utf-8').splitlines() if log.is_file() else ():
        record = json.loads(line) if line.endswith('}') else {}  # a killed run leaves half a line
        if record.get('step') == meta.get('iter') and 'loss' not in record:
            return {key: value for key, value in record.items() if key not in NO_METRIC}
    return {}


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
        meta['cfg'] = config_text(checkpoint)
    # copied, because a view would bring all that it is a part of
    weights = {
        name.removeprefix('module.'): weight.detach().cpu().clone()
        for name, weight in checkpoint['state_dict'].items()
    }
    return dict(state_dict=weights, meta=meta)


def _plain(value: object) -> object:
    """Lists for what else is a sequence, and Python's numbers for NumPy's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def write_file(published: dict, target: Path) -> Path:
    """One file, read once as users will, with a part of its hash in its name."""
    partial = target.with_name(f'.{target.stem}.{os.getpid()}{target.suffix}')
    try:
        write_checkpoint(published, partial)
        read_checkpoint(partial)
        name = f'{target.stem}-{file_hash(partial)[:HASH_DIGITS]}{target.suffix}'
        return partial.replace(target.with_name(name))
    finally:
        partial.unlink(missing_ok=True)


def write_folder(published: dict, card: str, target: Path) -> Path:
    """All files of the folder, or none."""
    partial = target.with_name(f'.{target.name}.{os.getpid()}.partial')
    weights = WEIGHTS[importlib.util.find_spec('safetensors') is None]
    try:
        write_checkpoint(published, partial / weights)
        read_checkpoint(partial / weights)
        if 'cfg' in published['meta']:
            (partial / CONFIG).write_text(published['meta']['cfg'], 'utf-8')
        (partial / 'README.md').write_text(card, 'utf-8')
        return partial.replace(target)  # fails if there is a file in it
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add('source', metavar='IN', help='checkpoint of a training, or what --model of predict takes')
    add('target', metavar='OUT', type=Path, help='folder to make, or file to write')
    add('--trust', action='store_true', help='load IN with pickle: runs its code')
    args = parser.parse_args(argv)
    args.target = args.target.absolute()  # `.` has no name
    is_file = args.target.suffix in ('.pth', SAFETENSORS)
    if not is_file and re.search(r'\.[a-z]\w*$', args.target.name, re.IGNORECASE):
        parser.error(f'OUT must end in .pth or {SAFETENSORS}, or be a folder, got {args.target}')
    if args.target.is_dir() and (is_file or any(args.target.iterdir())):
        parser.error(f'OUT {args.target} is a folder that has files: choose another, or remove it')
    try:
        require_writable(args.target if is_file else args.target / 'README.md')
        checkpoint = read_checkpoint(args.source, args.trust)
        published = strip(checkpoint, args.source)
        if is_file:
            written = write_file(published, args.target)
        else:
            card = model_card(checkpoint, args.source, args.target.name)
            written = write_folder(published, card, args.target)
    except CheckpointError as error:
        parser.error(str(error))
    except OSError as error:
        print(f'{args.target} could not be written: {error}', file=sys.stderr)
        return 1
    print(written)
    return 0
