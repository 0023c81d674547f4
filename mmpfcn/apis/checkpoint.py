"""Checkpoints: read without running code from the file, written whole or not at all."""

import ast
import hashlib
import json
import os
import re
from _codecs import encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.fileio import get_local_path
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn

from ..formats.atomic_files import open_atomic
from .checkpoint_limits import TRUST_IT, CheckpointError, require_no_bomb
from .pretrained import HUB, find_pretrained

try:
    from numpy._core import multiarray
except ImportError:  # numpy < 2
    from numpy.core import multiarray

# what a file may look up, by the class: a log is pickled with its methods
ATTRIBUTES = {HistoryBuffer: ('min', 'max', 'mean', 'current')}


def _attribute(owner: Any, name: str) -> Any:
    """Stands for ``getattr``."""
    if not isinstance(owner, type) or name not in ATTRIBUTES.get(owner, ()):
        raise ValueError(f'reading it would look up {name} in {owner}')
    return getattr(owner, name)


def _named(function: Callable, path: str) -> Callable:
    """The function under the name that a file calls it by; PyTorch looks for attributes."""

    def named(*args: Any) -> Any:
        return function(*args)

    named.__module__, _, named.__name__ = path.rpartition('.')
    named.__qualname__ = named.__name__
    return named


READABLE = [
    HistoryBuffer,
    _named(_attribute, 'builtins.getattr'),
    encode,  # bytes of numpy's; PyTorch >= 2.5 allows it by itself
    np.ndarray,
    np.dtype,
    # numpy 2 and 1 call the module differently, and either may have written the file
    *(
        _named(getattr(multiarray, name), f'numpy.{core}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for core in ('_core', 'core')
    ),
    *(type(np.dtype(code)) for code in '?bBhHiIlLqQefd'),
]
"""What mmengine's training checkpoints hold beside tensors: plain data, and logs."""

ADDRESSES = ('http://', 'https://', HUB)
SAFETENSORS = '.safetensors'
META = 'mmpfcn'  # the entry of a safetensors file's metadata that holds ``meta``, as JSON


@contextmanager
def allowed(content: list) -> Iterator[None]:
    """``torch.serialization.safe_globals``, which is new in PyTorch 2.5, for 2.4 too."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(content)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


# PyTorch < 2.4 allows nothing: it refuses checkpoints with logs, and mmengine's loader stays
if not hasattr(torch.serialization, 'add_safe_globals'):
    allowed = nullcontext  # noqa: F811


def read_checkpoint(path: str | Path, trust: bool = False, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint; nothing in the file is run.

    Args:
        path: of a file that mmengine or ``torch.save`` wrote, or a safetensors file; or any other
            name of a model (:func:`find_pretrained`).
        trust: run whatever code the file holds. Only for files whose maker is known.
        map_location: of ``torch.load``; safetensors come to the CPU.

    Returns:
        With ``state_dict``; a file of bare weights is put under that key. With the config at
        ``meta.cfg``, where one comes with the name.

    Raises:
        CheckpointError: there is no such file, which is a FileNotFoundError too; or it is no
            checkpoint, is damaged, can not be downloaded, or needs code, or memory, to be read.
    """
    path, config = str(path), None
    local = path
    if '://' not in path or path.startswith(ADDRESSES):
        local, config = find_pretrained(path)
    try:
        with get_local_path(local) as local, allowed(READABLE):
            if str(local).endswith(SAFETENSORS):
                content = _read_safetensors(local)
            else:
                if not trust:
                    require_no_bomb(local)
                content = torch.load(local, map_location=map_location, weights_only=not trust)
    except (OSError, CheckpointError):
        raise
    except Exception as error:  # bytes that are no pickle raise nearly anything
        needs = re.search(r'GLOBAL (\S+)', str(error))
        if not needs and path.startswith(ADDRESSES[:2]):
            Path(local).unlink(missing_ok=True)  # the connection may have broken
        raise CheckpointError(
            f'checkpoint {path} is refused, because reading it would run {needs[1]}. {TRUST_IT}'
            if needs
            else f'{path} is no checkpoint, or a damaged one: copy it again ({_reason(error)})'
        ) from error
    if not isinstance(content, dict) or 'state_dict' not in content:
        content = dict(state_dict=content)
    weights = content['state_dict'] if isinstance(content['state_dict'], dict) else {}
    if not any(isinstance(value, torch.Tensor) for value in weights.values()):
        raise CheckpointError(
            f'checkpoint {path} holds no weights, neither at its top level nor under "state_dict"'
        )
    if config is not None:
        content['meta'] = {**content.get('meta', {}), 'cfg': config}
    return content


def _reason(error: Exception) -> str:
    """Its kind and what is wrong; before that, PyTorch advises to run the file's code."""
    text = str(error).rpartition('WeightsUnpickler error:')[2].strip()
    line, _, _ = text.partition('\n')
    return f'{type(error).__name__}: {line}'


def _read_safetensors(path: str | Path) -> dict:
    """``state_dict`` and ``meta``, which is JSON in the file's own metadata."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise CheckpointError(f'{path} needs safetensors: pip install safetensors') from error
    with safe_open(path, 'pt') as file:
        meta = json.loads((file.metadata() or {}).get(META, '{}'))
        weights = {name: file.get_tensor(name) for name in file.keys()}
        return dict(state_dict=weights, meta=dict(meta))


def load_from_local_or_http(filename: str, map_location: Any = None) -> dict:
    """:func:`read_checkpoint` for all that mmengine loads: training, testing, ``init_cfg``.

    Its own loader reads what ``weights_only`` refuses with pickle, and only warns.
    """
    return read_checkpoint(os.path.expanduser(filename), map_location=map_location)


def use_safe_loader() -> None:
    """Let mmengine load checkpoints by :func:`read_checkpoint`: files, addresses, published models.

    ``configs/_base_/default_runtime.py`` asks for it, by ``mmpfcn.apis.safe_loading``, and so do
    the commands; other schemes (``torchvision://``, ``s3:``, those of plug-ins) stay.
    """
    if allowed is not nullcontext:
        prefixes = ('', 'http://', 'https://')  # the first gets what no scheme of mmengine's is
        CheckpointLoader.register_scheme(prefixes, load_from_local_or_http, force=True)


def write_checkpoint(checkpoint: dict, path: str | Path) -> None:
    """``torch.save`` under a temporary name, then rename; folders are made.

    Where the path ends in ``.safetensors``, they are written: they hold ``state_dict`` and ``meta``
    only, the latter of values that JSON has. Raises OSError, also where the disk is full.
    """
    try:
        with open_atomic(path) as file:
            if Path(path).suffix == SAFETENSORS:
                from safetensors.torch import save

                metadata = {'format': 'pt', META: json.dumps(checkpoint['meta'])}
                file.write(save(checkpoint['state_dict'], metadata))
            else:
                torch.save(checkpoint, file)
    except Exception as error:  # torch.save on a full disk raises RuntimeError
        raise OSError(f'{path} could not be written: {error}') from error


def file_hash(name: str | Path) -> str:
    """SHA-256 of a checkpoint, in hexadecimal; of an address (https://...) the address itself."""
    if str(name).startswith(ADDRESSES[:2]):
        return str(name)
    with open(find_pretrained(name).file, 'rb') as file:
        digest = hashlib.sha256()
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def load_weights(model: nn.Module, state_dict: dict, path: str | Path) -> None:
    """Load the weights of a checkpoint, every one of them; a prefix ``module.`` is left out.

    Raises:
        ValueError: weights are missing, left over or of another shape: it counts them and names
            some. Or one is not finite: it names it.
    """
    weights = {name.removeprefix('module.'): weight for name, weight in state_dict.items()}
    expected = model.state_dict()
    problems = [
        f'{name} is {tuple(weights[name].shape)}, expected {tuple(weight.shape)}'
        if name in weights
        else f'{name} is missing'
        for name, weight in expected.items()
        if name not in weights or weights[name].shape != weight.shape
    ]
    problems += [f'{name} is unknown' for name in weights if name not in expected]
    if problems:
        raise ValueError(
            f'checkpoint {path} belongs to another model than the config: {len(problems)} of '
            f'{len(expected)} weights do not fit ({"; ".join(problems[:3])}). Use the config it '
            'was trained with, with the same class counts'
        )
    for name, weight in weights.items():
        if weight.is_floating_point() and not (finite := weight.isfinite()).all():
            raise ValueError(
                f'checkpoint {path}: {int((~finite).sum())} of {weight.numel()} numbers of {name} '
                'are NaN or infinite, expected finite ones: its training went wrong, use an '
                'earlier checkpoint'
            )
    model.load_state_dict(weights)


def config_text(checkpoint: dict) -> str | None:
    """The config as mmengine writes it into a checkpoint; None if there is none."""
    info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    return checkpoint.get('meta', {}).get('cfg') or info.get('cfg')


def config_of(checkpoint: dict, path: str | Path) -> ConfigDict:
    """The config that mmengine keeps in a training checkpoint, read without running it.

    Raises:
        ValueError: there is none, or it is more than assignments of plain values.
    """
    if (text := config_text(checkpoint)) is None:
        raise ValueError(
            f'there is neither a config nor one in the checkpoint {path}: name the config that it '
            'was trained with'
        )
    try:
        lines = _Displays().visit(ast.parse(text)).body
        return ConfigDict({line.targets[0].id: ast.literal_eval(line.value) for line in lines})
    except (SyntaxError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f'the config in the checkpoint {path} is not just values, and is not run ({error}): '
            'name the config that it was trained with'
        ) from error


class _Displays(ast.NodeTransformer):
    """``dict(key=..., **{'a key': ...})``, as mmengine writes it, to a display in braces."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if ast.unparse(node.func) != 'dict':
            return node
        parts = [*node.args]
        for k in node.keywords:
            parts.append(ast.Dict([ast.Constant(k.arg)], [k.value]) if k.arg else k.value)
        return ast.Dict([k for x in parts for k in x.keys], [v for x in parts for v in x.values])
