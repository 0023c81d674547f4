"""Colours of classes, of the objects of a class, and of pyramid levels: RGB, in [0, 255]."""

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import count

import numpy as np
from mmdet.visualization import get_palette

Color = Sequence[int]

TRACK_SHADES = 24  # of a class: objects of a video whose numbers differ by it share one
ANY_THING = (255, 255, 255)
# of Okabe and Ito, which also the colour-blind tell apart
LEVELS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (0, 114, 178),
    (204, 121, 167),
)  # fmt: skip


def class_palette(metainfo: Mapping) -> Sequence[Color]:
    """Colours of the classes of a data set; made up, the same every time, where it has none."""
    palette, classes = metainfo.get('palette'), metainfo['classes']
    if isinstance(palette, str) or not isinstance(palette, Sequence) or len(palette) < len(classes):
        return get_palette('random', len(classes))  # seeded
    return palette


def label_colors(
    labels: Sequence[int], palette: Sequence[Color], tracks: Sequence[int] | None = None
) -> np.ndarray:
    """(len(labels), 3) uint8 colours: per label the shades of its colour, in order.

    What has a number in ``tracks``, from 1, always has the same shade; 0 stands for none.
    """
    left = {label: iter(shades(palette[label], labels.count(label))) for label in set(labels)}
    colors = [
        _track_shades(tuple(palette[label]))[track % TRACK_SHADES] if track else next(left[label])
        for label, track in zip(labels, tracks or [0] * len(labels), strict=True)
    ]
    return np.array(colors, np.uint8).reshape(-1, 3)


@cache
def _track_shades(color: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    return shades(color, TRACK_SHADES)


def shades(color: Color, number: int) -> list[tuple[int, int, int]]:
    """Different shades of one hue, the colour itself first.

    Saturation and value follow low-discrepancy sequences, so that any first few of them are far
    apart and the same every time.
    """
    hue, saturation, _ = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    result = [tuple(int(channel) for channel in color)]
    for value_step, saturation_step in zip(_van_der_corput(2), _van_der_corput(3), strict=True):
        if len(result) >= number:
            return result[:number]
        # A grey has no hue: it must stay one.
        new_saturation = 0.4 + 0.6 * saturation_step if saturation > 0 else 0.0
        rgb = colorsys.hsv_to_rgb(hue, new_saturation, 0.45 + 0.55 * value_step)
        shade = tuple(round(255 * channel) for channel in rgb)
        if max(abs(a - b) for a, b in zip(shade, result[0], strict=True)) >= 16:
            result.append(shade)


def _van_der_corput(base: int) -> Iterator[float]:
    """1/b, 2/b, ..., 1/b^2, ...: every prefix fills (0, 1) evenly."""
    for n in count(1):
        value, scale = 0.0, 1.0
        while n:
            n, digit = divmod(n, base)
            scale /= base
            value += digit * scale
        yield value
