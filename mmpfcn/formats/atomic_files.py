"""Files that are whole or not there: no cut-off image is read, nothing half-written is left."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import numpy as np

NUM_IDS = 2**24
"""Ids are R + 256 G + 65536 B; 0 is void."""

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'


def is_cut_off(content: bytes) -> bool:
    """Whether an image file lacks its end; OpenCV paints what a JPEG lacks in grey, in silence."""
    is_jpeg, is_png = content.startswith(b'\xff\xd8'), content.startswith(PNG_SIGNATURE)
    # Inside a JPEG's pixels no marker occurs by chance; a thumbnail ends before they start.
    return (
        not content
        or (is_jpeg and content.rfind(b'\xff\xd9') <= content.rfind(b'\xff\xda'))
        or (is_png and _lacks_chunks(content))
    )


def _lacks_chunks(content: bytes) -> bool:
    """Whether a PNG ends before its last chunk does, or before the end that a chunk claims.

    OpenCV takes memory for as many bytes as a chunk claims before it looks for them.
    """
    at = len(PNG_SIGNATURE)
    while at < len(content):
        length, kind = int.from_bytes(content[at : at + 4], 'big'), content[at + 4 : at + 8]
        at += 12 + length
        if kind == b'IEND':
            return at > len(content)
    return True


def write_panoptic_png(path: str | Path, ids: np.ndarray) -> None:
    """Write segment ids, (H, W) in [0, 2^24); the file appears when it is complete.

    Raises:
        ValueError: an id does not fit into 24 bits.
        OSError: the folder can not be written.
    """
    if ids.size and not 0 <= ids.min() <= ids.max() < NUM_IDS:
        raise ValueError(
            f'{path}: segment ids run from {ids.min()} to {ids.max()}, a panoptic PNG holds '
            f'0 to {NUM_IDS - 1}: number the segments anew'
        )
    bgr = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(np.uint8)
    write_whole(path, cv2.imencode('.png', bgr)[1].tobytes())


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it; folders are made."""
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when it is complete; folders are made.

    A process that is killed (-9) meanwhile leaves ``.<name>.<random>``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
