"""Pure functions that draw a panoptic map: images are RGB, (H, W, 3), uint8, in and out."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ..structures import segment_index
from .colors import Color, label_colors
from .labels import draw_texts, font_size, load_font, text_size, write_inside

GAP = 6  # px between two panels
MIN_TITLE_SIZE = 9  # px
MAX_ENLARGED_WIDTH = 4096  # px
HATCH_ALPHA = 0.15  # of every other stripe of a crowd segment
VOID_ALPHA = 0.45  # of the light and the dark stripes of void


class Segment(NamedTuple):
    """One segment of a panoptic map."""

    id: int  # its value in the map
    label: int
    score: float | None = None  # in [0, 1]; None where there is none, as in ground truth
    crowd: bool = False  # several things of one class in one segment: drawn hatched
    track: int = 0  # number of a thing in all frames of a video; 0 where it has none


def draw_panoptic(
    image: np.ndarray,
    ids: np.ndarray,
    segments: Sequence[Segment],
    classes: Sequence[str],
    palette: Sequence[Color],
    alpha: float = 0.6,
    hatch_void: bool = False,
) -> np.ndarray:
    """Draw segments over an image, on a copy: coloured, outlined, with class name and score.

    Args:
        image: (H, W, 3) uint8, RGB.
        ids: (H, W) integers: the id of each pixel's segment. An id that no segment has is void.
        segments: Those to draw. The first one of a class has the colour of its class, the others
            have other shades of it; one with a track always the same. A crowd has stripes.
        classes: Name of each label.
        palette: RGB colour of each label, in [0, 255].
        alpha: Opacity of the colours, in [0, 1].
        hatch_void: Draw light and dark stripes on void, which is otherwise left as it is.

    Raises:
        ValueError: Map and image differ in size, or a label has no class or no colour.
    """
    if ids.shape != image.shape[:2]:
        raise ValueError(
            f'The panoptic map is {ids.shape} (H, W) but the image is {image.shape[:2]}: draw the '
            'map on the image it belongs to, in its original size'
        )
    for segment in segments:
        if not 0 <= segment.label < min(len(classes), len(palette)):
            raise ValueError(
                f'Segment {segment.id} has the label {segment.label}, but there are '
                f'{len(classes)} classes and {len(palette)} colours: the map and dataset_meta '
                'belong to different data sets'
            )
    index = segment_index(ids, [segment.id for segment in segments]).astype(np.int64) - 1
    drawn = _blend(image, index, segments, palette, alpha)
    if hatch_void:
        _hatch(drawn, index < 0)
    draw_outlines(drawn, index)
    texts = []
    for segment in segments:
        score = '' if segment.score is None else f' {segment.score:.2f}'
        text = classes[segment.label] + (f' #{segment.track}' if segment.track else '')
        texts.append(text + (' (crowd)' if segment.crowd else '') + score)
    return write_inside(drawn, index, texts)


def title_height(height: int, width: int) -> int:
    """Height in pixels of the strip above a panel of this size."""
    return 2 * font_size(height, width)


def join_panels(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Put images, (H, W, 3) uint8 of one size, side by side, each under a strip with its title.

    A long title is written smaller. There is at least one panel, and :data:`GAP` between two.
    """
    height, width = panels[0][1].shape[:2]
    strip = title_height(height, width)  # of black
    largest = round(1.25 * font_size(height, width))
    canvas = np.full((strip + height, len(panels) * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, (title, image) in enumerate(panels):
        font = load_font(largest)
        if text_size(title, font)[0] > width:
            font = load_font(max(MIN_TITLE_SIZE, largest * width // text_size(title, font)[0]))
        w, h = text_size(title, font)
        x, y = max(0, (width - w) // 2), (strip - h) // 2
        black = np.zeros((strip, width, 3), np.uint8)
        panel = canvas[:, number * (width + GAP) :][:, :width]
        panel[:strip] = draw_texts(black, [(title, (x, y, x + w, y + h))], font)
        panel[strip:] = image
    return canvas


def stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Put pictures, (H, W, 3) uint8 of any sizes, below each other on a white page."""
    height = sum(len(row) + GAP for row in rows) - GAP
    page = np.full((height, max(row.shape[1] for row in rows), 3), 255, np.uint8)
    top = 0
    for row in rows:
        page[top : top + len(row), : row.shape[1]] = row
        top += len(row) + GAP
    return page


def enlarge(array: np.ndarray, min_height: int) -> np.ndarray:
    """:func:`resize` to at least a height in pixels, if it is less.

    What would become wider than :data:`MAX_ENLARGED_WIDTH` is enlarged less.
    """
    height, width = array.shape[:2]
    min_height = min(min_height, height * MAX_ENLARGED_WIDTH // width)
    if height >= min_height:
        return array
    return resize(array, (min_height, max(1, round(width * min_height / height))))


def resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale to a new (H, W): an (H, W, 3) uint8 image smoothly, (H, W) integers to the nearest."""
    height, width = array.shape[:2]
    if (height, width) == tuple(size):
        return array
    if array.ndim == 2:
        return resize_nearest(array, size)
    way = cv2.INTER_CUBIC if size[0] >= height else cv2.INTER_AREA
    return cv2.resize(array, (size[1], size[0]), interpolation=way)


def resize_nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale the first two dimensions of an array of anything, without new values."""
    rows = np.arange(size[0]) * array.shape[0] // size[0]
    columns = np.arange(size[1]) * array.shape[1] // size[1]
    return array[rows[:, None], columns]


def blend(image: np.ndarray, weight: np.ndarray | float, colors: np.ndarray | float) -> np.ndarray:
    """Colours over an image, uint8; all broadcast. ``weight`` in [0, 1] is their opacity."""
    return np.rint((1 - weight) * image + weight * colors).astype(np.uint8)


def outline(image: np.ndarray, mask: np.ndarray, color: Color, thickness: int) -> None:
    """Draw, in place, a line along the border of an (H, W) uint8 mask."""
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, color, thickness)


def draw_outlines(image: np.ndarray, index: np.ndarray) -> None:
    """Draw, in place, a white line wherever two values of an (H, W) map meet."""
    edge = np.zeros(index.shape, np.uint8)
    edge[:, :-1] |= index[:, :-1] != index[:, 1:]
    edge[:-1] |= index[:-1] != index[1:]
    thickness = max(1, round(font_size(*index.shape) / 12))
    edge = cv2.dilate(edge, np.ones((thickness, thickness), np.uint8)).astype(bool)
    image[edge] = (image[edge] // 4) + 191


def _blend(
    image: np.ndarray,
    index: np.ndarray,
    segments: Sequence[Segment],
    palette: Sequence[Color],
    alpha: float,
) -> np.ndarray:
    """Colour each segment, a crowd with stripes."""
    drawn, inside = image.copy(), index >= 0
    number = index[inside]
    labels, tracks = [s.label for s in segments], [s.track for s in segments]
    colors = label_colors(labels, palette, tracks)
    crowd = np.array([segment.crowd for segment in segments], bool)
    y, x = np.nonzero(inside)
    stripe = (x + y) // _stripe_width(index.shape) % 2 == 1
    weight = np.where(crowd[number] & stripe, min(alpha, HATCH_ALPHA), alpha)[:, None]
    drawn[inside] = blend(image[inside], weight, colors[number])
    return drawn


def _hatch(image: np.ndarray, where: np.ndarray) -> None:
    """Draw, in place, a light and a dark stripe in turn: one of them shows on any image."""
    y, x = np.nonzero(where)
    # the other way than those of a crowd
    stripe = (x - y) // _stripe_width(where.shape) % 4
    for number, grey in ((0, 255), (1, 0)):
        place = y[stripe == number], x[stripe == number]
        image[place] = blend(image[place], VOID_ALPHA, grey)


def _stripe_width(shape: tuple[int, int]) -> int:
    return max(3, font_size(*shape) // 3)
