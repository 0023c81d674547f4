"""The pickle of ``tools/test.py --out``, read without running code of it and in little memory.

A pickle may name any function to call, so an ordinary ``pickle.load`` of a file from elsewhere runs
what its author liked. Here only what tensors and arrays are made of is known. And the file holds
each map at 8 bytes a pixel, several GB for COCO's 5000 images: tensors are packed as they come.
"""

import io
import os
import pickle
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.utils import ProgressBar

LARGE = 2**14
"""Bytes from which on a tensor is packed, and a text or bytes are not kept for a second use."""

STEP = 2**22  # bytes between two moves of the progress bar
BROKEN = (EOFError, pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError,
          RuntimeError, MemoryError, OverflowError, AssertionError)  # fmt: skip
"""What reading a damaged pickle may raise."""


class PackedStorage(NamedTuple):
    """The memory of a tensor, compressed."""

    content: bytes
    dtype: torch.dtype

    def unpack(self) -> torch.Tensor:
        """(n,) of the dtype."""
        content = bytearray(zlib.decompress(self.content))
        return torch.frombuffer(content, dtype=self.dtype)


class PackedTensor(NamedTuple):
    """A tensor whose memory is compressed."""

    storage: PackedStorage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def unpack(self) -> torch.Tensor:
        return self.storage.unpack().as_strided(self.size, self.stride, self.offset)


def load_dumped(path: str | Path) -> list:
    """Unpickle a file of ``--out``, with a progress bar; large tensors are :class:`PackedTensor`.

    Raises:
        OSError: the file can not be read.
        ValueError: it is cut off, no pickle, or wants to call something that is no data.
    """
    try:
        with open(path, 'rb') as file, _Progress(file, os.path.getsize(path)) as watched:
            content = _DataUnpickler(watched).load()
    except _Forbidden as error:
        raise ValueError(
            f'{path}: {error}. A pickle runs such code when it is loaded, and the results of '
            'tools/test.py need none: the file was not written by it'
        ) from error
    except BROKEN as error:
        raise ValueError(
            f'{path} is cut off or no pickle ({type(error).__name__}: {error}): write it again '
            'with tools/test.py --out'
        ) from error
    if not isinstance(content, list):
        raise ValueError(
            f'{path} holds a {type(content).__name__}, expected the list of predictions that '
            'tools/test.py --out writes'
        )
    return content


class _Forbidden(Exception):
    pass


class _Memo(dict):
    """Objects that a pickle may refer to again, without the large ones, which are used once."""

    def __setitem__(self, number: int, value: object) -> None:
        parts = value if isinstance(value, tuple) else (value,)  # arguments of a function
        large = any(isinstance(part, (str, bytes)) and len(part) >= LARGE for part in parts)
        super().__setitem__(number, _Forbidden if large else value)

    def __getitem__(self, number: int) -> object:
        value = super().__getitem__(number)
        if value is _Forbidden:
            raise pickle.UnpicklingError('a large text or bytes occur twice')
        return value


class _DataUnpickler(pickle._Unpickler):
    """Knows tensors, arrays and Python's own containers.

    Python's implementation, not that in C, which keeps every object to the end.
    """

    def __init__(self, file: io.IOBase) -> None:
        super().__init__(file)
        self.memo = _Memo()

    def find_class(self, module: str, name: str) -> Callable:
        try:
            return KNOWN[module.replace('numpy.core.', 'numpy._core.'), name]
        except KeyError:
            raise _Forbidden(f'it names {module}.{name}') from None

    def load_build(self) -> None:
        """Fill an array; anything else could be changed from within the file."""
        if not isinstance(self.stack[-2], (np.ndarray, np.dtype)):
            raise _Forbidden(f'it sets attributes of {self.stack[-2]!r}')
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def _encode(text: str, encoding: str) -> bytes:
    """Bytes are pickled as text by the protocol that mmengine uses."""
    if encoding != 'latin1':
        raise _Forbidden(f'it encodes by {encoding}')
    return text.encode('latin1')


def _load_storage(content: bytes) -> PackedStorage | torch.TypedStorage:
    """torch's own function does not restrict what it loads."""
    storage = torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)
    if len(content) < LARGE:
        return storage
    memory = torch.empty(0, dtype=storage.dtype).set_(storage)
    return PackedStorage(
        zlib.compress(memory.view(torch.uint8).numpy().tobytes(), 1), storage.dtype
    )


def _rebuild_tensor(
    storage: PackedStorage | torch.TypedStorage, offset: int, size: tuple, stride: tuple, *_: object
) -> PackedTensor | torch.Tensor:
    if isinstance(storage, PackedStorage):
        return PackedTensor(storage, offset, size, stride)
    return torch.empty(0, dtype=storage.dtype).set_(storage, offset, size, stride)


KNOWN = {
    ('_codecs', 'encode'): _encode,
    ('collections', 'OrderedDict'): OrderedDict,
    ('torch.storage', '_load_from_bytes'): _load_storage,
    ('torch._utils', '_rebuild_tensor_v2'): _rebuild_tensor,
    ('torch', 'Size'): torch.Size,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('numpy._core.multiarray', '_reconstruct'): np._core.multiarray._reconstruct,
    ('numpy._core.multiarray', 'scalar'): np._core.multiarray.scalar,
    ('numpy._core.numeric', '_frombuffer'): np._core.numeric._frombuffer,
}


class _Progress:
    """A file with a progress bar, in MiB, for what is read of it."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        self._done = 0
        self._bar = ProgressBar(-(-size // STEP)) if size >= STEP else None

    def __enter__(self) -> '_Progress':
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            print()

    def readline(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b'\n'):
            raise EOFError('a line without its end')
        return line

    def read(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) < count:
            raise EOFError(f'{count} bytes expected, {len(content)} left')
        if self._bar is not None and self._file.tell() // STEP > self._done:
            self._bar.update(self._file.tell() // STEP - self._done)
            self._done = self._file.tell() // STEP
        return content
