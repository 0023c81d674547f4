"""The bytes of a file that somebody named, and what is said when it is not there."""

import os
from pathlib import Path

LFS_POINTER = b'version https://git-lfs.github.com/spec/'


def read_content(path: str | os.PathLike, backend_args: dict | None = None) -> bytes:
    """The content of a file; of an address, or with ``backend_args``, by mmengine's file client.

    Raises FileNotFoundError, or ValueError for Git LFS's pointer or an address without mmengine.
    """
    path = os.fspath(path)
    if backend_args is None and '://' not in path:
        try:
            content = Path(path).read_bytes()
        except (NotADirectoryError, ValueError) as error:  # a null byte
            raise FileNotFoundError(f'{path!r} is not there ({error})') from error
    else:
        try:
            from mmengine.fileio import get
        except ImportError as error:
            raise ValueError(f'{path} is an address: install mmengine or download it') from error
        content = bytes(get(path, backend_args=backend_args))
    if content.startswith(LFS_POINTER):
        raise ValueError(f'{path} is a Git LFS pointer, not the file itself: run `git lfs pull`')
    return content
