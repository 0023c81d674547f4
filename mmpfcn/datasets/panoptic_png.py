"""The PNG of the COCO panoptic format: one 24-bit segment id per pixel."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import cv2
import mmcv
import numpy as np
from mmengine.fileio import get

NUM_IDS = 2**24
"""Ids are R + 256 G + 65536 B; 0 is void."""

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
COLOUR_TYPES = {0: 'grey', 2: 'RGB', 3: 'palette', 4: 'grey with alpha', 6: 'RGBA'}


def read_panoptic_png(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Segment ids of an image.

    Args:
        path: of an RGB or RGBA PNG with 8 bits a channel; alpha is left out.
        backend_args: of mmengine's file client.

    Returns:
        (H, W) int32, in [0, 2^24).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut off, or is no PNG whose colours are ids.
    """
    content = read_whole(path, 'panoptic PNG', backend_args)
    _check_header(content, path)
    png = mmcv.imfrombytes(content, flag='color')  # BGR
    if png is None:
        raise ValueError(f'panoptic PNG {path} can not be decoded: copy or make it again')
    # little-endian: R + 256 G + 65536 B + 2^24 A
    ids = cv2.cvtColor(png, cv2.COLOR_BGR2RGBA).view('<i4')[..., 0]
    return ids & (NUM_IDS - 1)


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


def read_whole(path: str, what: str, backend_args: dict | None = None) -> bytes:
    """The content of an image file that is there and not cut off.

    OpenCV paints what a cut-off JPEG lacks in grey and says nothing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a JPEG or PNG without its end.
    """
    try:
        content = get(path, backend_args=backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f'{what} {path} is not there: mend data_root or data_prefix of the data set, or the '
            'file_name in its JSON'
        ) from error
    content = bytes(content)
    is_jpeg, is_png = content.startswith(b'\xff\xd8'), content.startswith(PNG_SIGNATURE)
    # Inside a JPEG's pixels no marker occurs by chance; a thumbnail ends before they start.
    cut_off = (is_jpeg and content.rfind(b'\xff\xd9') <= content.rfind(b'\xff\xda')) or (
        is_png and content.rfind(b'IEND') < 0
    )
    if cut_off or not content:
        raise ValueError(f'{what} {path} is cut off ({len(content)} bytes): copy it again')
    return content


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it; folders are made."""
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when it is complete; folders are made."""
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


def _check_header(content: bytes, path: str) -> None:
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError(
            f'{path} is no PNG, but a panoptic map has to be one: other formats lose ids'
        )
    depth, colour = content[24], content[25]
    if depth != 8 or colour not in (2, 6):
        raise ValueError(
            f'panoptic PNG {path} has {depth} bits a channel and colour type '
            f'{COLOUR_TYPES.get(colour, colour)}; expected 8 bits and RGB, with the id '
            'R + 256 G + 65536 B. Save it as RGB (mmpfcn.datasets.write_panoptic_png); maps of '
            'class and instance ids are converted by tools/dataset_converters/id_maps_panoptic.py'
        )
