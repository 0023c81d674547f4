"""One image, whatever it comes from, as (H, W, 3) uint8 BGR."""

import io
import os
from pathlib import Path

import mmcv
import numpy as np
from PIL import Image, ImageOps

from .atomic_files import is_cut_off
from .panoptic_png import read_whole

MAX_PIXELS = 2**28
"""Larger images are refused before they are decoded: 16384 x 16384, 768 MiB."""

VIDEO_EXTENSIONS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')

ImageSource = str | os.PathLike | np.ndarray | Image.Image


def read_image(source: ImageSource) -> np.ndarray:
    """Read an image upright (EXIF orientation), in colour, with 8 bits a channel.

    Grey becomes three equal channels, 16 bits are scaled down, an alpha channel is left out.

    Args:
        source: path, address (http, https), PIL image, or an array as mmcv has them: (H, W),
            (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.

    Returns:
        (H, W, 3) uint8 BGR, contiguous.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no image, cut off, larger than :data:`MAX_PIXELS`, or an array of another kind.
        TypeError: neither of these.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_pil(source)
    if isinstance(source, str | os.PathLike):
        return _from_file(os.fspath(source))
    raise TypeError(
        f'an image is a path, an address, an array or a PIL image; got {type(source).__name__}'
    )


def _from_file(path: str) -> np.ndarray:
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'image {path} is not there (looked for in {Path.cwd()})')
    if path.lower().endswith(VIDEO_EXTENSIONS):  # list_inputs makes frames of those it can read
        raise ValueError(
            f"video {path} can not be read: it is damaged or not coded as OpenCV's FFmpeg knows it"
        )
    return decode_image(read_whole(path, 'image'), path)


def decode_image(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """:func:`read_image` from the bytes of a file; ``name`` is for messages."""
    if is_cut_off(content):
        raise ValueError(f'image {name} is cut off ({len(content)} bytes): copy it again')
    try:
        with Image.open(io.BytesIO(content)) as header:  # does not decode
            size = header.size
    except Image.DecompressionBombError as error:
        raise ValueError(f'image {name} is refused: {error}') from error
    except Exception:  # of a damaged file PIL raises nearly anything
        pass  # a format that only OpenCV knows, or no image: it is OpenCV that decodes
    else:
        _check_size(size, name, max_pixels)
    try:
        image = mmcv.imfrombytes(content, flag='color')
    except Exception as error:  # cv2.error, which is none of Python's
        raise ValueError(f'{name} can not be decoded as an image: {error}') from error
    if image is None:
        raise ValueError(
            f'{name} is no image, or of a format that OpenCV can not read: '
            'expected JPEG, PNG, BMP, TIFF, WebP or the like'
        )
    return image


def _from_pil(image: Image.Image) -> np.ndarray:
    _check_size(image.size, 'PIL image')
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):  # 16 bits, also where PIL says 32
        return _from_array(np.array(image).clip(0, 2**16 - 1).astype(np.uint16))
    return np.ascontiguousarray(np.array(image.convert('RGB'))[..., ::-1])


def _from_array(array: np.ndarray) -> np.ndarray:
    grey = array.ndim == 2 or array.ndim == 3 and array.shape[2] == 1
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if not (grey or colour) or array.dtype not in (np.uint8, np.uint16) or not array.size:
        raise ValueError(
            f'the image is an array of {array.dtype} with shape {array.shape}, expected uint8 or '
            'uint16 of (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA, with H and W from 1'
        )
    _check_size(array.shape[1::-1], 'array')
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if grey:
        array = np.broadcast_to(array.reshape(*array.shape[:2], 1), (*array.shape[:2], 3))
    return np.ascontiguousarray(array[..., :3])


def _check_size(size: tuple[int, int], name: str, max_pixels: int = MAX_PIXELS) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ValueError(
            f'image {name} has {width} x {height} pixels, more than {max_pixels}: make it smaller'
        )
