"""The numbers of a TIFF as they are, by tifffile."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from .image_header import COLOUR_MAP, Header, check_pixels
from .pixels import PixelRule, UnfitPixels, from_few_bits

if TYPE_CHECKING:
    from tifffile import TiffFile


@contextmanager
def open_tiff(file: str | BinaryIO, name: str) -> Iterator['TiffFile']:
    """Raises ValueError where tifffile is missing or can not read it; ``name`` is for messages."""
    try:
        import tifffile
    except ImportError as error:
        raise ValueError(f"image {name} is a TIFF: pip install 'mmpfcn[tiff]'") from error
    try:
        with tifffile.TiffFile(file) as opened:
            yield opened
    except UnfitPixels:
        raise
    except Exception as error:  # tifffile has many for what a file can be
        raise ValueError(f'image {name} can not be decoded by tifffile: {error}') from error


def num_channels(file: 'TiffFile', name: str) -> int:
    """Of the first image of a TIFF: samples or pages. UnfitPixels where it has other axes too."""
    series = file.series[0]
    number = [
        size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in 'YX'
    ]
    found = f'the axes {series.axes} of {series.shape}' if sum(n > 1 for n in number) > 1 else ''
    if None in series.pages:
        found = 'a part of its pages in other files'
    if found:
        raise UnfitPixels(
            f'image {name} is a TIFF with {found}, expected rows, columns and channels: '
            'save it as such, each image in a file of its own'
        )
    return math.prod(number)


def read_tiff(content: bytes, name: str, header: Header, rule: PixelRule) -> np.ndarray:
    """(H, W, C) of what a rule reads: three are BGR, others in the file's order.

    The first page where the rule is for colours. Raises UnfitPixels, or as :func:`open_tiff`.
    """
    with open_tiff(io.BytesIO(content), name) as file:
        page = file.pages[0]
        if header.photometric == COLOUR_MAP and rule.channels not in (None, 3):
            raise UnfitPixels(
                f'image {name} is a TIFF with a colour map, which has 3 channels, but the model is '
                f'for {rule.channels} channel(s): give it such images'
            )
        part, count = page, header.channels
        if rule.channels is not None and header.photometric != COLOUR_MAP:
            part, count = file.series[0], num_channels(file, name)
            kind = part.dtype.name if header.bits >= 8 else 'uint8'
            read = rule.num_read(count - header.alpha, header.alpha)
            rule.require(count if read is None else read, kind, name)
        axes, shape = part.axes, part.shape
        check_pixels(shape[axes.index('Y')], shape[axes.index('X')], f'image {name}')
        pixels, colours = part.asarray(), page.colormap
    order = [axes.index('Y'), axes.index('X'), *(i for i, x in enumerate(axes) if x not in 'YX')]
    pixels = pixels.transpose(order)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if header.photometric == COLOUR_MAP:
        return colour_table(colours.T)[pixels[..., 0]]
    pixels = pixels[..., : count if rule.channels is None else rule.channels]
    if header.bits < 8:
        pixels = from_few_bits(pixels, header.bits)
    return pixels[..., ::-1] if pixels.shape[2] == 3 else pixels


def colour_table(colours: np.ndarray) -> np.ndarray:
    """(n, 3) uint8 BGR of a map, (n, 3) RGB in 16 bits, of which some only have the upper 8."""
    is_upper = not (colours % 256).any()
    return (colours // (256 if is_upper else 257)).astype(np.uint8)[:, ::-1]
