"""One image, whatever it comes from, as (H, W, 3) uint8 BGR or as a model wants it."""

import io
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import cv2
import numpy as np

from .file_content import read_content
from .image_header import MAX_PIXELS, Header, avif_orientation, check_pixels, read_header
from .panoptic_png import read_complete
from .pixels import COLOUR, HOW, PixelRule, UnfitPixels, warn_of_lost_bits

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

TIFF = b'II', b'MM'

ImageSource = Union[str, os.PathLike, np.ndarray, 'Image.Image']  # noqa: UP007 (PIL may be missing)


def read_image(source: ImageSource, rule: PixelRule = COLOUR) -> np.ndarray:
    """Read an image upright (EXIF orientation), in colour with 8 bits a channel, or by a rule.

    Args:
        source: path, address (http, https), PIL image, or an array as mmcv has them: (H, W),
            (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16. With a rule, of its
            channels and any type of numbers.
        rule: what becomes of channels and bits.

    Returns:
        (H, W, 3) uint8 BGR, or what :meth:`PixelRule.fit` gives; contiguous.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no image, cut off, larger than :data:`MAX_PIXELS`, or of other channels or bits.
        TypeError: neither of these.
    """
    if isinstance(source, np.ndarray):
        return rule.fit(source, 'array')
    if is_pixels(source):
        return rule.fit(_from_pil(source, rule), 'of PIL')
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return rule.fit(_from_file(path, rule), path)
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


def _from_file(path: str, rule: PixelRule) -> np.ndarray:
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'image {path} is not there (looked for in {Path.cwd()})')
    content = read_content(path)
    # list_inputs makes frames of the videos that it can read
    if path.lower().endswith(VIDEO_EXTENSIONS) and read_header(content) is None:
        raise ValueError(
            f"video {path} can not be read: it is damaged or not coded as OpenCV's FFmpeg knows it"
        )
    return decode_image(content, path, rule=rule)


def decode_image(
    content: bytes, name: str, max_pixels: int = MAX_PIXELS, rule: PixelRule = COLOUR
) -> np.ndarray:
    """:func:`read_image` from the bytes of a file; ``name`` is for messages.

    For a rule with ``channels`` these are the file's own numbers, else (H, W, 3) BGR, uint8 or,
    where :meth:`PixelRule.fit` scales them, of the file's own bits.
    """
    header = read_header(content)
    if not content or (header is not None and header.cut_off):
        raise ValueError(f'image {name} is cut off ({len(content)} bytes): copy it again')
    if header is not None:
        check_pixels(*header.size, f'image {name}', max_pixels)
    if rule.channels is None:
        image = _decode(content, name, header, keep_bits=rule.scales)
    else:
        image = _numbers(content, name, header, rule)
    if header is not None and image.shape[:2] != header.size:
        raise ValueError(
            f'image {name} has {image.shape[1]} x {image.shape[0]} pixels, but its header says '
            f'{header.size[1]} x {header.size[0]}: copy or make it again'
        )
    return image


def _decode(content: bytes, name: str, header: Header | None, keep_bits: bool) -> np.ndarray:
    """By OpenCV, which turns TIFF whatever it is told, JPEG and PNG but not WebP and AVIF."""
    if header is not None and header.channels is not None:
        raise UnfitPixels(
            f'image {name} is a TIFF of {header.channels} channels, but the model is for grey or '
            f'colour, with or without alpha. {HOW}'
        )
    if header is not None and header.bits > 8 and not keep_bits:
        warn_of_lost_bits()
    is_tiff = content.startswith(TIFF)
    flags = cv2.IMREAD_COLOR | (0 if is_tiff else cv2.IMREAD_IGNORE_ORIENTATION)
    flags |= cv2.IMREAD_ANYDEPTH if keep_bits else 0
    image = _by_opencv(content, name, header, flags)
    return image if is_tiff else _upright(image, content, name, header)


def _numbers(content: bytes, name: str, header: Header | None, rule: PixelRule) -> np.ndarray:
    """(H, W) or (H, W, C), of the file's own type; three are BGR, others in the file's order."""
    if content.startswith(TIFF):
        image = _by_tifffile(content, name, rule)
    else:
        image = _by_opencv(content, name, header, cv2.IMREAD_UNCHANGED)
        if image.ndim == 3 and image.shape[2] == 4:
            image = image[..., [2, 1, 0, 3]]
    return _upright(image, content, name, header)


def _by_opencv(content: bytes, name: str, header: Header | None, flags: int) -> np.ndarray:
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
    return image


def _by_tifffile(content: bytes, name: str, rule: PixelRule) -> np.ndarray:
    """The first image of a TIFF: its rows, columns and, samples or pages, channels."""
    try:
        import tifffile
    except ImportError as error:
        raise ValueError(f"image {name} is a TIFF: pip install 'mmpfcn[tiff]'") from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            series = file.series[0]
            axes, shape = series.axes, series.shape
            number = [size for axis, size in zip(axes, shape, strict=True) if axis not in 'YX']
            found = f'the axes {axes} of {shape}' if sum(n > 1 for n in number) > 1 else ''
            if series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE:
                found = 'a colour map'
            elif None in series.pages:
                found = 'a part of its pages in other files'
            if found:
                raise UnfitPixels(
                    f'image {name} is a TIFF with {found}, expected rows, columns and channels: '
                    'save it as such, each image in a file of its own'
                )
            rule.require(math.prod(number), series.dtype.name, name)
            size = shape[axes.index('Y')], shape[axes.index('X')]
            check_pixels(*size, f'image {name}')
            pixels = series.asarray()
    except UnfitPixels:
        raise
    except Exception as error:  # tifffile has many for what a file can be
        raise ValueError(f'image {name} can not be decoded by tifffile: {error}') from error
    others = [i for i, axis in enumerate(axes) if axis not in 'YX']
    pixels = pixels.transpose(axes.index('Y'), axes.index('X'), *others).reshape(*size, -1)
    return pixels[..., ::-1] if pixels.shape[2] == 3 else pixels


def _upright(image: np.ndarray, content: bytes, name: str, header: Header | None) -> np.ndarray:
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


def _from_pil(image: 'Image.Image', rule: PixelRule) -> np.ndarray:
    """The pixels for :meth:`PixelRule.fit`."""
    from PIL import ImageOps

    check_pixels(*image.size[::-1], 'PIL image')
    image = ImageOps.exif_transpose(image)
    if rule.channels is not None and image.mode != 'P':
        pixels = np.array(image)
        return pixels[..., ::-1] if image.mode == 'RGB' else pixels
    if image.mode.startswith('I'):  # 16 bits, also where PIL says 32
        return np.array(image).clip(0, 2**16 - 1).astype(np.uint16)
    return np.array(image.convert('RGB'))[..., ::-1]
