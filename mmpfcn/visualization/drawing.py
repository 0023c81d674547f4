"""Pure functions that draw a panoptic map: images are RGB, (H, W, 3), uint8, in and out."""

import colorsys
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

import cv2
import numpy as np

from .labels import draw_texts, font_size, load_font, place_labels, text_size

Color = Sequence[int]

GAP = 6  # px between two panels
HATCH_ALPHA = 0.15  # of every other stripe of a crowd segment


class Segment(NamedTuple):
    """One segment of a panoptic map.

    Args:
        id: Its value in the map.
        label: Index into the classes.
        score: In [0, 1]; None where there is none, as in ground truth.
        crowd: Several things of one class in one segment: drawn hatched.
    """

    id: int
    label: int
    score: float | None = None
    crowd: bool = False


def draw_panoptic(
    image: np.ndarray,
    ids: np.ndarray,
    segments: Sequence[Segment],
    classes: Sequence[str],
    palette: Sequence[Color],
    alpha: float = 0.6,
) -> np.ndarray:
    """Draw segments over an image: coloured, outlined, with class name and score.

    Args:
        image: (H, W, 3) uint8, RGB.
        ids: (H, W) integers: the id of each pixel's segment. An id that no segment has is void,
            which is left as it is.
        segments: Those to draw. The first one of a class has the colour of its class, the others
            have other shades of it.
        classes: Name of each label.
        palette: RGB colour of each label, in [0, 255].
        alpha: Opacity of the colours, in [0, 1].

    Returns:
        A new (H, W, 3) uint8 image.

    Raises:
        ValueError: Map and image differ in size, or a label has no class or no colour.
    """
    if ids.shape != image.shape[:2]:
        raise ValueError(
            f'The panoptic map is {ids.shape} (H, W) but the image is '
            f'{image.shape[:2]}: draw the map on the image it belongs to, in its '
            'original size'
        )
    for segment in segments:
        if not 0 <= segment.label < min(len(classes), len(palette)):
            raise ValueError(
                f'Segment {segment.id} has the label {segment.label}, but there are '
                f'{len(classes)} classes and {len(palette)} colours: the map and dataset_meta '
                'belong to different data sets'
            )
    index = _segment_index(ids, segments)
    drawn = _blend(image, index, segments, segment_colors(segments, palette), alpha)
    _draw_outlines(drawn, index)
    font = load_font(font_size(*ids.shape))
    texts = [_label_text(segment, classes) for segment in segments]
    boxes = place_labels(index, [text_size(text, font) for text in texts])
    return draw_texts(drawn, [(texts[i], box) for i, box in boxes.items()], font)


def join_panels(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Put images of one size side by side, each under a strip with its title.

    Args:
        panels: (title, (H, W, 3) uint8 image) from left to right, at least one.

    Returns:
        (title_height(H, W) + H, n * W + (n - 1) * GAP, 3) uint8.
    """
    height, width = panels[0][1].shape[:2]
    strip = title_height(height, width)
    font = load_font(round(1.25 * font_size(height, width)))
    canvas = np.full((strip + height, len(panels) * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, (title, image) in enumerate(panels):
        text_width, text_height = text_size(title, font)
        x, y = max(0, (width - text_width) // 2), (strip - text_height) // 2
        box = (x, y, x + text_width, y + text_height)
        columns = slice(number * (width + GAP), number * (width + GAP) + width)
        canvas[:strip, columns] = draw_texts(
            np.zeros_like(canvas[:strip, columns]), [(title, box)], font
        )
        canvas[strip:, columns] = image
    return canvas


def enlarge(array: np.ndarray, min_height: int) -> np.ndarray:
    """Scale an image (smoothly) or a map of ids (nearest) up to at least a height, if it is less.

    Args:
        array: (H, W, 3) uint8 or (H, W) integers.
        min_height: Pixels.
    """
    height, width = array.shape[:2]
    if height >= min_height:
        return array
    new_width = max(1, round(width * min_height / height))
    if array.ndim == 3:
        return cv2.resize(array, (new_width, min_height), interpolation=cv2.INTER_CUBIC)
    rows = np.arange(min_height) * height // min_height
    columns = np.arange(new_width) * width // new_width
    return array[rows[:, None], columns]


def title_height(height: int, width: int) -> int:
    """Height in pixels of the strip above a panel of this size."""
    return 2 * font_size(height, width)


def segment_colors(segments: Sequence[Segment], palette: Sequence[Color]) -> np.ndarray:
    """(len(segments), 3) uint8 colours: per class the shades of its colour, in order."""
    labels = [segment.label for segment in segments]
    left = {label: iter(shades(palette[label], labels.count(label))) for label in set(labels)}
    return np.array([next(left[label]) for label in labels], np.uint8).reshape(-1, 3)


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


def _segment_index(ids: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
    """(H, W) int64: the number of each pixel's segment, -1 for none."""
    numbers = {segment.id: number for number, segment in enumerate(segments)}
    values, inverse = np.unique(ids, return_inverse=True)
    table = np.array([numbers.get(value, -1) for value in values.tolist()], np.int64)
    return table[inverse.reshape(ids.shape)]


def _blend(
    image: np.ndarray,
    index: np.ndarray,
    segments: Sequence[Segment],
    colors: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """Colour each segment, a crowd with stripes."""
    drawn = image.copy()
    inside = index >= 0
    number = index[inside]
    if not number.size:
        return drawn
    y, x = np.nonzero(inside)
    crowd = np.array([segment.crowd for segment in segments])
    stripe = (x + y) // max(3, font_size(*index.shape) // 3) % 2 == 1
    weight = np.where(crowd[number] & stripe, min(alpha, HATCH_ALPHA), alpha)[:, None]
    mixed = (1 - weight) * image[inside] + weight * colors[number]
    drawn[inside] = np.rint(mixed).astype(np.uint8)
    return drawn


def _draw_outlines(image: np.ndarray, index: np.ndarray) -> None:
    """Draw, in place, a white line wherever two segments, or a segment and void, meet."""
    edge = np.zeros(index.shape, np.uint8)
    edge[:, :-1] |= index[:, :-1] != index[:, 1:]
    edge[:-1] |= index[:-1] != index[1:]
    thickness = max(1, round(font_size(*index.shape) / 12))
    edge = cv2.dilate(edge, np.ones((thickness, thickness), np.uint8)).astype(bool)
    image[edge] = (image[edge] // 4) + 191


def _label_text(segment: Segment, classes: Sequence[str]) -> str:
    name = classes[segment.label] + (' (crowd)' if segment.crowd else '')
    return name if segment.score is None else f'{name} {segment.score:.2f}'


def _van_der_corput(base: int) -> Iterator[float]:
    """1/b, 2/b, ..., 1/b^2, ...: every prefix fills (0, 1) evenly."""
    for n in count(1):
        value, scale = 0.0, 1.0
        while n:
            n, digit = divmod(n, base)
            scale /= base
            value += digit * scale
        yield value
