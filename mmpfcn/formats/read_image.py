"""One image, whatever it comes from, as (H, W, 3) uint8 BGR."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import cv2
import numpy as np

from .file_content import read_content
from .image_header import MAX_PIXELS, Header, avif_orientation, check_pixels, read_header
from .panoptic_png import read_complete

if TYPE_CHECKING:
    from PIL import Image

IMG_EXTENSIONS = (
    '.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.ppm', '.pgm', '.pbm', '.pnm', '.bmp', '.dib',
    '.tif', '.tiff', '.webp', '.jp2', '.avif',
)  # fmt: skip
"""What is taken for an image in a folder; a file that is named by itself may have any suffix."""

VIDEO_EXTENSIONS = (
    '.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.3gp', '.ts',
    '.mts', '.m2ts', '.mjpeg', '.ogv',
)  # fmt: skip

ImageSource = Union[str, os.PathLike, np.ndarray, 'Image.Image']  # noqa: UP007 (PIL may be missing)


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
    if is_pixels(source):
        return _from_array(source) if isinstance(source, np.ndarray) else _from_pil(source)
    if isinstance(source, str | os.PathLike):
        return _from_file(os.fspath(source))
    if isinstance(source, OSError | ValueError):  # what is wrong with a video
        raise source
    raise TypeError(
        f'an image is a path, an address, an array or a PIL image; got {type(source).__name__}'
    )


def is_pixels(source: Any) -> bool:
    """Whether it is an array or an image of PIL, which is not imported for the question."""
    pil = sys.modules.get('PIL.Image')
    return isinstance(source, np.ndarray) or pil is not None and isinstance(source, pil.Image)


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(H, W) in pixels of what :func:`read_image` makes of a file, where possible from its header.

    Raises as that does.
    """
    content = read_complete(os.fspath(path), 'image')
    header = read_header(content)
    if header is None:
        try:
            return decode_image(content, os.fspath(path)).shape[:2]
        except ValueError as error:
            raise ValueError(
                f'{path} is no readable image (unknown format): copy it again ({error})'
            ) from error
    check_pixels(*header.size, f'image {path}')
    return header.size


def _from_file(path: str) -> np.ndarray:
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'image {path} is not there (looked for in {Path.cwd()})')
    content = read_content(path)
    # list_inputs makes frames of the videos that it can read
    if path.lower().endswith(VIDEO_EXTENSIONS) and read_header(content) is None:
        raise ValueError(
            f"video {path} can not be read: it is damaged or not coded as OpenCV's FFmpeg knows it"
        )
    return decode_image(content, path)


def decode_image(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """:func:`read_image` from the bytes of a file; ``name`` is for messages."""
    header = read_header(content)
    if not content or (header is not None and header.cut_off):
        raise ValueError(f'image {name} is cut off ({len(content)} bytes): copy it again')
    if header is not None:
        check_pixels(*header.size, f'image {name}', max_pixels)
    image = _decode(content, name, header)
    if header is not None and image.shape[:2] != header.size:
        raise ValueError(
            f'image {name} has {image.shape[1]} x {image.shape[0]} pixels, but its header says '
            f'{header.size[1]} x {header.size[0]}: copy or make it again'
        )
    return image


def _decode(content: bytes, name: str, header: Header | None) -> np.ndarray:
    """By OpenCV, which turns TIFF whatever it is told, JPEG and PNG but not WebP and AVIF."""
    is_tiff = content.startswith((b'II', b'MM'))
    flags = cv2.IMREAD_COLOR | (0 if is_tiff else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f'{name} can not be decoded as an image: {error}') from error
    if image is None and header is None:
        raise ValueError(
            f'{name} is no image, or of a format that OpenCV can not read: '
            'expected JPEG, PNG, BMP, TIFF, WebP or the like; copy or make it again'
        )
    if image is None:
        raise ValueError(f'image {name} can not be decoded: it is damaged, copy or make it again')
    if is_tiff:
        return image
    return turn_upright(image, header.orientation if header else avif_orientation(content, name))


def turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image, (H, W, ...) as stored, upright by its EXIF orientation, 1 to 8."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _from_pil(image: 'Image.Image') -> np.ndarray:
    from PIL import ImageOps

    check_pixels(*image.size[::-1], 'PIL image')
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
    check_pixels(*array.shape[:2], 'array')
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if grey:
        array = np.broadcast_to(array.reshape(*array.shape[:2], 1), (*array.shape[:2], 3))
    return np.ascontiguousarray(array[..., :3])
