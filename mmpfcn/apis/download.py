"""Checkpoints by address: downloaded once to a machine, and kept."""

import hashlib
import re
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from filelock import FileLock  # PyTorch needs it as well

from .checkpoint_limits import CheckpointError


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
