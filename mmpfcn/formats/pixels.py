"""What the pixels of an image are: how many channels of how many bits, and how they are scaled."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from .image_header import TIFF_CHANNELS, check_pixels

HOW = (
    "LoadImage(channels=..., ranges=...) of the model's pipelines says how such images are read "
    '(docs/datasets.md, "16 bits, one channel, many channels")'
)


COLOUR_KINDS = 'uint8', 'uint16'


class UnfitPixels(ValueError):
    """The image has other channels or bits than the model is for."""


@dataclass(frozen=True)
class PixelRule:
    """How images become what a network is given.

    Args:
        channels: C; images of another number are refused. Three are BGR, as everywhere in mmdet;
            others are in the order of the file. With alpha, if there is one, as the last. Without
            it images become (H, W, 3) BGR: grey is repeated, and alpha left out.
        ranges: (low, high) of one channel each, or one for all: what becomes 0 and 255.
        percentiles: (low, high) from 0 to 100 instead: these of each image and channel become 0 and
            255. With neither, images have 8 bits, and stay as they are; without ``channels`` the
            upper 8 of 16 bits are taken, with a warning.

    Raises:
        ValueError: one of these is no such thing, or they do not fit each other.
    """

    channels: int | None = None
    ranges: Sequence[Sequence[float]] | None = None
    percentiles: Sequence[float] | None = None

    def __post_init__(self) -> None:
        scales = [x for x in (self.ranges, self.percentiles) if x is not None]
        count = 3 if self.channels is None else self.channels
        if len(scales) > 1 or count < 1:
            raise ValueError(
                f'{self}: expected channels from 1, and ranges or percentiles but not both'
            )
        pairs = np.array(scales[0] if self.ranges else scales, np.float64) if scales else None
        if pairs is not None and (
            pairs.shape not in ((1, 2), (count, 2)) or not (pairs[:, 0] < pairs[:, 1]).all()
        ):
            raise ValueError(
                f'{self}: expected ranges=[(low, high)], or {count} of them, or '
                'percentiles=(low, high), low below high'
            )
        if self.percentiles and not (0 <= pairs.min() and pairs.max() <= 100):
            raise ValueError(f'{self}: percentiles are from 0 to 100')

    @property
    def scales(self) -> bool:
        """Whether images become float32, rather than uint8."""
        return self.ranges is not None or self.percentiles is not None

    def fit(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """From an image's own numbers, (H, W) or (H, W, C), to the network's, from 0 to 255.

        Returns:
            (H, W, C), or (H, W, 3) BGR without ``channels``: uint8, or float32 where they were
            scaled. NaN, which is nodata, becomes 0. Contiguous.

        Raises:
            UnfitPixels: the image has other channels or bits; ``name`` is for the message.
        """
        if self.channels is None:
            colour = _to_colour(pixels, keep_bits=self.scales)
            return self._scaled(colour) if self.scales else colour
        if pixels.ndim not in (2, 3) or pixels.dtype.kind not in 'uif' or not pixels.size:
            raise UnfitPixels(
                f'image {name} is {pixels.dtype} of shape {pixels.shape}, expected numbers of '
                '(H, W) or (H, W, C)'
            )
        check_pixels(*pixels.shape[:2], f'image {name}')
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        self.require(pixels.shape[2], pixels.dtype.name, name)
        if self.scales:
            return self._scaled(pixels)
        return np.ascontiguousarray(pixels)

    def num_read(self, channels: int, alpha: bool) -> int | None:
        """How many channels of a file, from the first, are read: with alpha only where they count
        it, else of grey or colours. None of others.
        """
        if self.channels is None:
            return channels if channels in (1, 3) else None
        return self.channels if self.channels in (channels, channels + alpha) else None

    def require(self, channels: int, kind: str, name: str) -> None:
        """Raise UnfitPixels unless images of these channels and type of numbers are read."""
        if self.channels is None:
            if kind not in COLOUR_KINDS:
                raise UnfitPixels(
                    f'image {name} has pixels of {kind}, expected {" or ".join(COLOUR_KINDS)}: '
                    f'scale them, as by gdal_translate -ot UInt16 -scale IN OUT. {HOW}'
                )
            return
        found = f'image {name} has {channels} channel(s) of {kind}, but the model is for'
        if channels != self.channels:
            raise UnfitPixels(
                f'{found} {self.channels} channel(s): give it such images, or train one with '
                f'LoadImage(channels={channels})'
            )
        if kind != 'uint8' and not self.scales:
            raise UnfitPixels(
                f'{found} uint8: set ranges=[(low, high)] or percentiles=(1, 99.8) of LoadImage, '
                'and train the model so'
            )

    def fixed(self, pixels: np.ndarray) -> 'PixelRule':
        """With the ranges that the percentiles of an image, (H, W) or (H, W, C), are: a rule for
        its parts.
        """
        if self.percentiles is None:
            return self
        channels = np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), 2, 0)
        low, high = np.array([_percentiles(x, self.percentiles) for x in channels]).T
        high = np.where(high > low, high, low + 1)  # all the same
        return PixelRule(self.channels, np.stack([low, high], 1).tolist())

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        low, high = np.array(self.fixed(pixels).ranges).T
        if pixels.dtype != np.uint8 or pixels.ndim != 3:
            return _stretched(pixels, low, high)
        numbers = np.arange(256, dtype=np.uint8)[:, None].repeat(pixels.shape[2], 1)
        return cv2.LUT(pixels, _stretched(numbers, low, high)[None]).reshape(pixels.shape)


def _stretched(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """float32, from 0 at ``low`` to 255 at ``high``, which are of each channel (the last axis)."""
    factor = (255 / (high - low)).astype(np.float32)
    scaled = (pixels.astype(np.float32) - low.astype(np.float32)) * factor
    return np.nan_to_num(scaled.clip(0, 255), copy=False)


def _percentiles(pixels: np.ndarray, percents: Sequence[float]) -> Sequence[float]:
    """``np.percentile`` of the finite ones; of 8 bits by counting them, which is faster."""
    if pixels.dtype != np.uint8:
        known = pixels[np.isfinite(pixels)]
        return np.percentile(known, percents) if known.size else (0, 0)
    ends = np.bincount(pixels.ravel(), minlength=256).cumsum()
    place = np.array(percents) / 100 * (ends[-1] - 1)  # among the sorted pixels
    below, above = (ends.searchsorted(end(place), 'right') for end in (np.floor, np.ceil))
    return below + (above - below) * (place % 1)


COLOUR = PixelRule()
"""(H, W, 3) uint8 BGR."""


def preview(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR to look at of (H, W) or (H, W, C) from 0 to 255.

    More than three channels show the first three as red, green and blue, two show the first.
    """
    image = image.reshape(*image.shape[:2], -1)
    if image.shape[2] < 3:
        image = np.broadcast_to(image[..., :1], (*image.shape[:2], 3))
    elif image.shape[2] > 3:
        image = image[..., 2::-1]
    if image.dtype != np.uint8:
        image = image.round().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)


def upper_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 of uint16."""
    return (pixels >> 8).astype(np.uint8)


def from_few_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """uint8 from 0 to 255 of numbers of 1 to 7 bits."""
    return (pixels.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)


def require_known(photometric: int | None, name: str) -> None:
    """Raise UnfitPixels for a TIFF that is neither grey, RGB, YCbCr nor has a colour map."""
    if photometric is not None and photometric not in TIFF_CHANNELS:
        raise UnfitPixels(
            f'image {name} is a TIFF of the photometric interpretation {photometric}, expected 1 '
            '(grey), 2 (RGB), 3 (a colour map) or 6 (YCbCr): save it as one of these'
        )


@cache  # Python itself forgets what it has said whenever some library changes its filters
def warn_of_lost_bits() -> None:
    """Say once in a process that of more than 8 bits the upper ones are taken."""
    warnings.warn(f'images of 16 bits are cut to their upper 8: {HOW}', stacklevel=2)


def _to_colour(array: np.ndarray, keep_bits: bool) -> np.ndarray:
    grey = array.ndim == 2 or array.ndim == 3 and array.shape[2] == 1
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if not (grey or colour) or array.dtype.name not in COLOUR_KINDS or not array.size:
        raise UnfitPixels(
            f'the image is an array of {array.dtype} with shape {array.shape}, expected uint8 or '
            'uint16 of (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA, with H and W from 1; '
            + HOW
        )
    check_pixels(*array.shape[:2], 'array')
    if array.dtype == np.uint16 and not keep_bits:
        warn_of_lost_bits()
        array = upper_bits(array)
    if grey:
        array = np.broadcast_to(array.reshape(*array.shape[:2], 1), (*array.shape[:2], 3))
    return np.ascontiguousarray(array[..., :3])
