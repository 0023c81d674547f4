"""One image, whatever it comes from, as (H, W, 3) uint8 BGR or as a model wants it."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import cv2
import numpy as np

from .file_content import read_content
from .image_header import MAX_PIXELS, Header, avif_orientation, check_pixels, read_header
from .panoptic_png import read_complete
from .pixels import COLOUR, HOW, PixelRule, UnfitPixels, require_known
from .tiff import read_tiff

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
FOR_COLOURS = f'the model is for grey or colour, with or without alpha. {HOW}'

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
    if content.startswith(TIFF):
        image = _of_tiff(content, name, header, rule)
    else:
        image = _upright(_of_others(content, name, header, rule), content, name, header)
    if header is not None and image.shape[:2] != header.size:
        raise ValueError(
            f'image {name} has {image.shape[1]} x {image.shape[0]} pixels, but its header says '
            f'{header.size[1]} x {header.size[0]}: copy or make it again'
        )
    return rule.fit(image, name) if rule == COLOUR else image


def _of_others(content: bytes, name: str, header: Header | None, rule: PixelRule) -> np.ndarray:
    """(H, W) or (H, W, C), of the file's own type; three are BGR, others in the file's order."""
    image = None
    # of several channels that are no colours OpenCV gives the first, or nothing
    if header is None or header.plain or (rule.channels and header.channels != 3):
        flags = cv2.IMREAD_UNCHANGED if rule.channels else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        image = _by_opencv(content, name, header, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        why = ' that are no colours, which OpenCV does not read: save it as TIFF'
        why = why if rule.channels else f', but {FOR_COLOURS}'
        raise UnfitPixels(f'image {name} is a JPEG 2000 of {header.channels} channels{why}')
    if image.ndim < 3 or image.shape[2] != 4:
        return image
    has = header if header is not None and header.channels else Header(0, 0, channels=3, alpha=True)
    order = [2, 1, 0, 3] if has.channels == 3 else [0, 3]
    count = rule.num_read(has.channels, has.alpha) or has.channels + has.alpha
    return image[..., :3] if count == 3 else image[..., order[:count]]


def _of_tiff(content: bytes, name: str, header: Header | None, rule: PixelRule) -> np.ndarray:
    """Upright. OpenCV turns it whatever it is told; it multiplies colours by alpha."""
    if rule.channels is None and (header is None or header.plain):
        _require_whole(content, name)
        return _by_opencv(content, name, header, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if header is not None:
        require_known(header.photometric, name)
        if rule.channels is None:
            rule.require(header.channels, header.kind, name)
            if rule.num_read(header.channels, header.alpha) is None:
                raise UnfitPixels(
                    f'image {name} is a TIFF of {header.channels} channels, but {FOR_COLOURS}'
                )
    numbers = read_tiff(content, name, header or Header(0, 0, channels=1), rule)
    return _upright(numbers, content, name, header)


def _require_whole(content: bytes, name: str) -> None:
    """Raise ValueError for a TIFF of which a tile or strip is damaged: OpenCV leaves it black.

    Pillow stops there; what else it does not read is left to OpenCV.
    """
    try:
        from PIL import TiffImagePlugin

        image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
        if image.info.get('compression') != 'raw':
            image.load()
    except Exception as error:  # Pillow has many for what a file can be
        if str(error).startswith('decoder error'):
            raise ValueError(
                f'image {name} can not be decoded: a part of it is damaged, copy or make it again'
            ) from error


def _by_opencv(content: bytes, name: str, header: Header | None, flags: int) -> np.ndarray | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f'{name} can not be decoded as an image: {error}') from error
    if image is None and header is not None and not header.plain:
        return None
    if image is None and header is None:
        raise ValueError(
            f'{name} is no image, or of a format that OpenCV can not read: '
            'expected JPEG, PNG, BMP, TIFF, WebP or the like; copy or make it again'
        )
    if image is None:
        raise ValueError(
            f'image {name} can not be decoded: it is damaged, or compressed in a way that OpenCV '
            'does not know; copy or make it again, a TIFF with LZW or deflate'
        )
    return image


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
