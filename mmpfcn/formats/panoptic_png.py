"""The PNG of the COCO panoptic format: one 24-bit segment id per pixel."""

from pathlib import Path

import cv2
import numpy as np

from .atomic_files import write_atomic
from .file_content import read_content
from .image_header import PNG_SIGNATURE, check_pixels, is_cut_off

NUM_IDS = 2**24  # ids are R + 256 G + 65536 B; 0 is void
MAX_SEGMENTS = 2**16 - 1  # of one image: where they are counted, their numbers have 16 bits
DEFLATE_RATIO = 1032  # a PNG of n bytes holds at most this times n bytes of pixels
COLOUR_TYPES = {0: 'grey', 2: 'RGB', 3: 'palette', 4: 'grey with alpha', 6: 'RGBA'}


class WrongPixels(ValueError):
    """A PNG whose colours can be no ids."""


def read_panoptic_png(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Segment ids of an RGB or RGBA PNG with 8 bits a channel: (H, W) int32, in [0, 2^24).

    Alpha is left out; ``backend_args`` are of mmengine's file client. Raises as
    :func:`read_complete`, and ValueError for what is no PNG whose colours are ids.
    """
    content = read_complete(path, 'panoptic PNG', backend_args)
    _check_header(content, path)
    png = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)  # BGR
    if png is None:
        raise ValueError(f'panoptic PNG {path} can not be decoded: copy or make it again')
    # little-endian: R + 256 G + 65536 B + 2^24 A
    ids = cv2.cvtColor(png, cv2.COLOR_BGR2RGBA).view('<i4')[..., 0]
    return ids & (NUM_IDS - 1)


def read_complete(path: str, what: str, backend_args: dict | None = None) -> bytes:
    """The content of an image file of a data set that is there and not cut off.

    OpenCV paints what a cut-off JPEG lacks in grey and says nothing. Raises FileNotFoundError, or
    ValueError for a JPEG, PNG or WebP without its end or a Git LFS pointer.
    """
    try:
        content = read_content(path, backend_args)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{what} {path} is not there: mend data_root or data_prefix of the data set, or the '
            'file_name in its JSON'
        ) from error
    if is_cut_off(content):
        raise ValueError(f'{what} {path} is cut off ({len(content)} bytes): copy it again')
    return content


def write_panoptic_png(path: str | Path, ids: np.ndarray) -> None:
    """Write segment ids, (H, W) in [0, 2^24), or raise ValueError; the file appears complete."""
    if ids.size and not 0 <= ids.min() <= ids.max() < NUM_IDS:
        raise ValueError(
            f'{path}: segment ids run from {ids.min()} to {ids.max()}, a panoptic PNG holds '
            f'0 to {NUM_IDS - 1}: number the segments anew'
        )
    bgr = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(np.uint8)
    write_atomic(path, cv2.imencode('.png', bgr)[1].tobytes())


def _check_header(content: bytes, path: str) -> None:
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError(
            f'{path} is no PNG, but a panoptic map has to be one: other formats lose ids'
        )
    if len(content) < 26:
        raise ValueError(f'panoptic PNG {path} has no complete header: copy or make it again')
    depth, colour = content[24:26]
    if depth != 8 or colour not in (2, 6):
        raise WrongPixels(
            f'panoptic PNG {path} has {depth} bits a channel and colour type '
            f'{COLOUR_TYPES.get(colour, colour)}; expected 8 bits and RGB, with the id '
            'R + 256 G + 65536 B. Save it as RGB (mmpfcn.datasets.write_panoptic_png); maps of '
            'class and instance ids are converted by tools/dataset_converters/id_maps_panoptic.py'
        )
    width, height = (int.from_bytes(content[at : at + 4], 'big') for at in (16, 20))
    check_pixels(height, width, f'panoptic PNG {path}')
    if width * height * 3 > DEFLATE_RATIO * len(content):
        raise ValueError(
            f'panoptic PNG {path} has {len(content)} bytes, too few for {width} x {height} pixels: '
            'copy or make it again'
        )
