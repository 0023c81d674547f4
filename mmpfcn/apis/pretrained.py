"""Where the weights of a model are, by what a user calls it."""

import hashlib
import re
import sys
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import torch
from filelock import FileLock  # PyTorch needs it as well

from .checkpoint_limits import CheckpointError, CheckpointNotFoundError
from .configs import model_index, read_config

# one of them is in a published folder; it holds config and class names as well
WEIGHTS = ('model.safetensors', 'model.pth')
CONFIG = 'config.py'  # the same config beside them, to be read and changed by people
HUB = 'hf://'
HUB_NAME = re.compile(r'hf://([\w.-]+/[\w.-]+)(?:@(\S+))?')

GET_IT = (
    'Its authors link it in README.md of https://github.com/dvlab-research/PanopticFCN: results '
    'table, row "{row}", column "download". Then: '
    'mmpfcn convert detectron2 DOWNLOADED {weights}{star}'
)


class Pretrained(NamedTuple):
    """The file of a checkpoint on this machine, and the text of the config that comes with the
    name, assignments of plain values; None where it is in the file, if anywhere.
    """

    file: Path
    config: str | None


def find_pretrained(name: str | Path) -> Pretrained:
    """The file of a checkpoint, downloaded where need be.

    Args:
        name: a file; its address (http, https); a folder that ``mmpfcn publish`` wrote; such a
            folder on the Hugging Face Hub, ``hf://user/name`` or ``hf://user/name@revision``; or a
            name of the model index that has weights, such as ``published/r50_coco_3x``.

    Raises:
        CheckpointNotFoundError: it is nothing of these, or there is no such file.
        CheckpointError: it can not be downloaded.
    """
    name = str(name)
    if name.startswith(HUB):
        return _of_folder(_from_hub(name), name)
    if name.startswith(('http://', 'https://')):
        return Pretrained(download(name), None)
    if Path(name).is_dir():
        return _of_folder(Path(name), name)
    return Pretrained(Path(name), None) if Path(name).is_file() else _of_index(name)


def download(address: str) -> Path:
    """The file of an address (http, https) in torch.hub's folder of checkpoints.

    The first process that asks downloads it; others, of the same run or not, wait. A name with a
    hash, such as ``resnet50-0676ba61.pth``, is kept; others get one of their address. Raises
    CheckpointError where it can not be downloaded, or the folder not be written.
    """
    name = Path(urlparse(address).path).name
    if not re.search(r'-[0-9a-f]{8,}\.', name):
        name = f'{hashlib.sha256(address.encode()).hexdigest()[:8]}-{name}'
    path = Path(torch.hub.get_dir()) / 'checkpoints' / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{path}.lock'):
            if not path.is_file():
                torch.hub.download_url_to_file(address, str(path), progress=sys.stderr.isatty())
    except (OSError, HTTPException) as error:
        raise CheckpointError(
            f'checkpoint {address} could not be downloaded to {path}: {error}'
        ) from error
    return path


def _of_index(name: str) -> Pretrained:
    index = model_index()
    missing = f'checkpoint {name} is not there (looked for in {Path.cwd()})'
    if name not in index:
        near = get_close_matches(name, [known for known in index if 'Weights' in index[known]])
        hint = f'; did you mean {" or ".join(near)}?' if near else ''
        raise CheckpointNotFoundError(missing + hint)
    entry = index[name]
    if 'Weights' not in entry:
        raise CheckpointNotFoundError(f'{missing}; {name} is a config without published weights')
    if not Path(entry['Weights']).is_file():
        row = entry['Metadata']['Published as']
        star = ' --star' if '*' in row else ''
        get_it = GET_IT.format(row=row, weights=entry['Weights'], star=star)
        raise CheckpointNotFoundError(f'{missing}. {get_it}')
    config = read_config(entry['Config']).to_dict()
    text = '\n'.join(f'{key} = {value!r}' for key, value in config.items())
    return Pretrained(Path(entry['Weights']), text)


def _of_folder(folder: Path, name: str) -> Pretrained:
    files = [folder / weights for weights in WEIGHTS if (folder / weights).is_file()]
    if not files:
        others = ', '.join(sorted(path.name for path in folder.glob('*.pth')))
        hint = f'name one of {others}' if others else 'mmpfcn publish writes such a folder'
        raise CheckpointNotFoundError(f'{name} has neither {" nor ".join(WEIGHTS)}: {hint}')
    config = folder / CONFIG
    return Pretrained(files[0], config.read_text('utf-8') if config.is_file() else None)


def _from_hub(name: str) -> Path:
    """The folder of a repository in the cache of ``huggingface_hub``, which works without network
    once it is there.
    """
    match = HUB_NAME.fullmatch(name)
    if match is None:
        raise CheckpointError(f'{name} names no repository: expected hf://user/name[@revision]')
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise CheckpointError(
            f'{name} needs huggingface_hub: pip install huggingface_hub safetensors'
        ) from error
    try:
        patterns = [*WEIGHTS, CONFIG]
        return Path(snapshot_download(match[1], revision=match[2], allow_patterns=patterns))
    except Exception as error:  # of the HTTP library as well, which is another in each version
        reason = str(error).strip().partition('\n')[0]
        raise CheckpointError(
            f'{name} could not be downloaded, and is not in the cache of huggingface_hub '
            f'({type(error).__name__}: {reason})'
        ) from error
