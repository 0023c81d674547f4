"""Checkpoints that would take far more memory than their size."""

import os
import re
import zipfile
from pathlib import Path

# what PyTorch allows too, and takes any amount of memory for a number; no checkpoint has it
GROWS = re.compile(rb'builtin(s|__)\nbytearray\n')
ARCHIVE = b'PK\3\4'  # its start, by which PyTorch goes; ``zipfile.is_zipfile`` goes by the end
TRUST_IT = 'If you trust its maker, write its weights anew: mmpfcn publish IN OUT --trust'


class CheckpointError(ValueError):
    """A file is no checkpoint, is damaged, holds no weights, or needs code to be read."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """There is no such file."""


def require_no_bomb(path: str | Path) -> None:
    """Refuse a file of ``torch.save`` that would become larger when it is read.

    What PyTorch writes is not compressed, and it refuses storages larger than their data itself.
    Raises CheckpointError for what is compressed, has parts that overlap or holds :data:`GROWS`,
    and zipfile.BadZipFile for what is damaged.
    """
    with open(path, 'rb') as file:
        is_archive = file.read(len(ARCHIVE)) == ARCHIVE
    if is_archive:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if any(entry.header_offset < 0 for entry in entries):
                raise zipfile.BadZipFile('a part of it would begin before its first byte')
            size, unpacked = os.path.getsize(path), sum(entry.file_size for entry in entries)
            if unpacked > size or any(entry.compress_type for entry in entries):
                raise CheckpointError(
                    f'checkpoint {path} is refused: compressed, or with parts that overlap, it '
                    f'has {size} bytes and unpacks to {unpacked}. {TRUST_IT}'
                )
            pickles = [x for x in entries if x.filename.lower().endswith('data.pkl')]
            grows = any(GROWS.search(archive.read(entry)) for entry in pickles)
    else:
        grows = GROWS.search(Path(path).read_bytes())
    if grows:
        raise CheckpointError(
            f'checkpoint {path} is refused: it holds a bytearray, which may take any amount of '
            f'memory. {TRUST_IT}'
        )
