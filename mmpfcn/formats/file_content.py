"""The bytes of a file that somebody named, and what is said when it is not there."""

import os
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

LFS_POINTER = b'version https://git-lfs.github.com/spec/'
TIMEOUT = 60  # seconds in which nothing comes from an address


def read_content(path: str | os.PathLike, backend_args: dict | None = None) -> bytes:
    """The content of a file or an address; by mmengine's file client with ``backend_args``, and
    where the address is neither http:// nor https://.

    Raises FileNotFoundError, OSError where an address gives no answer or not all of it, or
    ValueError for Git LFS's pointer or where mmengine is missing.
    """
    path = os.fspath(path)
    if backend_args is None and '://' not in path:
        try:
            content = Path(path).read_bytes()
        except (NotADirectoryError, ValueError) as error:  # a null byte
            raise FileNotFoundError(f'{path!r} is not there ({error})') from error
    elif backend_args is None and path.startswith(('http://', 'https://')):
        content = _download(path)
    else:
        try:
            from mmengine.fileio import get
        except ImportError as error:
            raise ValueError(f'{path} is an address: install mmengine or download it') from error
        content = bytes(get(path, backend_args=backend_args))
    if content.startswith(LFS_POINTER):
        raise ValueError(f'{path} is a Git LFS pointer, not the file itself: run `git lfs pull`')
    return content


def _download(address: str) -> bytes:
    try:
        with urlopen(address, timeout=TIMEOUT) as answer:
            return answer.read()
    except (OSError, HTTPException) as error:
        reason = getattr(error, 'reason', error)
        if isinstance(reason, TimeoutError):
            reason = f'the server has said nothing for {TIMEOUT} seconds'
        raise OSError(
            f'{address} can not be downloaded ({reason}): try it later, or download it by other '
            'means and give the file'
        ) from error
