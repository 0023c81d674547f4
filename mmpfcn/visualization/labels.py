"""Texts on pictures and legends: their size, where they go and how they are written.

Pillow writes them, because OpenCV's fonts know ASCII only.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from .colors import Color

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels
MIN_FONT_SIZE = 14  # px
BOX_BRIGHTNESS = 0.3  # of the picture behind a text
MARGIN = 8  # px, of a legend


def font_size(height: int, width: int) -> int:
    """Font size in pixels that is readable on an image of this size."""
    return max(MIN_FONT_SIZE, round((height * width) ** 0.5 / 44))


def place_labels(index: np.ndarray, sizes: Sequence[tuple[int, int]]) -> dict[int, Box]:
    """Find room for a text on each segment, away from the texts already there.

    Small segments choose first because large ones have more room; one smaller than its text has
    no text. ``index`` are (H, W) integers: segment number of each pixel, -1 for none; ``sizes``
    (width, height) of the texts in pixels. Returns segment number -> box inside the image, no two
    overlapping.
    """
    height, width = index.shape
    areas = np.bincount(index[index >= 0], minlength=len(sizes))
    windows = ndimage.find_objects(index + 1, max_label=len(sizes))
    boxes: dict[int, Box] = {}
    for number in np.argsort(areas, kind='stable').tolist():
        w, h = sizes[number]
        if areas[number] < w * h or w > width or h > height:
            continue
        top, left = (window.start - 1 for window in windows[number])
        segment = np.pad(index[windows[number]] == number, 1).astype(np.uint8)
        taken = [(x0 - left, y0 - top, x1 - left, y1 - top) for x0, y0, x1, y1 in boxes.values()]
        center = _text_center(segment, (w, h), taken)
        if center is None:
            continue
        x0 = min(max(0, left + center[0] - w // 2), width - w)
        y0 = min(max(0, top + center[1] - h // 2), height - h)
        if _is_free(box := (x0, y0, x0 + w, y0 + h), boxes):
            boxes[number] = box
    return boxes


def place_beside(
    spots: Sequence[Box], sizes: Sequence[tuple[int, int]], shape: tuple[int, int]
) -> dict[int, Box]:
    """Find room for a text on or beside each spot, away from the texts already there.

    Small spots choose first. ``sizes`` are (width, height) of the texts in pixels, ``shape`` (H, W)
    of the image. Returns the number of each spot that has room -> box of its text, inside the
    image, no two overlapping.
    """
    height, width = shape
    boxes: dict[int, Box] = {}
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in spots]
    for number in sorted(range(len(spots)), key=areas.__getitem__):
        (x0, y0, x1, y1), (w, h) = spots[number], sizes[number]
        x, y = (x0 + x1 - w) // 2, (y0 + y1 - h) // 2
        corners = [(x1 + 2, y), (x0 - 2 - w, y), (x, y1 + 2), (x, y0 - 2 - h)]
        if w <= x1 - x0 and h <= y1 - y0:
            corners = [(x, y), (x, y0 + 2), (x, y1 - 2 - h), *corners]
        for left, top in corners:
            box = (left, top, left + w, top + h)
            inside = 0 <= left and 0 <= top and box[2] <= width and box[3] <= height
            if inside and _is_free(box, boxes):
                boxes[number] = box
                break
    return boxes


def write_inside(image: np.ndarray, index: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Write a text on each segment of :func:`place_labels` that has room for it."""
    font = load_font(font_size(*index.shape))
    boxes = place_labels(index, [text_size(text, font) for text in texts])
    return draw_texts(image, [(texts[i], box) for i, box in boxes.items()], font)


def write_beside(image: np.ndarray, texts: Sequence[str], spots: Sequence[Box]) -> np.ndarray:
    """Write texts on or beside their spots, as many as there is room for."""
    font = load_font(font_size(*image.shape[:2]))
    boxes = place_beside(spots, [text_size(text, font) for text in texts], image.shape[:2])
    return draw_texts(image, [(texts[i], box) for i, box in boxes.items()], font)


def add_legend(picture: np.ndarray, entries: Sequence[tuple[str, Color]]) -> np.ndarray:
    """Put a legend, of as many lines as it needs, below an (H, W, 3) uint8 RGB picture.

    ``entries`` are text and RGB colour of each class; without any it is the picture itself.
    """
    if not entries:
        return picture
    height, width = picture.shape[:2]
    font = load_font(font_size(height, width))
    side = text_size('', font)[1]
    room = width - side - 2 * MARGIN
    texts = [(_shorten(text, font, room), color) for text, color in entries]
    x, y, labels = MARGIN, MARGIN, []
    for text, _ in texts:
        text_width = text_size(text, font)[0]
        if x > MARGIN and x + side + text_width + MARGIN > width:
            x, y = MARGIN, y + side + MARGIN // 2
        labels.append((text, (x + side, y, x + side + text_width, y + side)))
        x += side + text_width + 2 * MARGIN
    strip = np.zeros((y + side + MARGIN, width, 3), np.uint8)
    for (_, color), (_, (left, top, _, _)) in zip(texts, labels, strict=True):
        strip[top : top + side, left - side : left] = color
    return np.concatenate([picture, draw_texts(strip, labels, font)])


def _text_center(
    segment: np.ndarray, size: tuple[int, int], taken: Sequence[Box]
) -> tuple[int, int] | None:
    """(x, y) on a segment, where a text of ``size`` (width, height) covers most of it, is far from
    its edge and overlaps no box that is taken; None if there is no such place.

    The segment is (h, w) uint8, 0 or 1, 0 along the border.
    """
    w, h = size
    free = segment.copy()
    for x0, y0, x1, y1 in taken:
        rows = slice(max(0, y0 - h // 2), max(0, y1 + h // 2 + 1))
        columns = slice(max(0, x0 - w // 2), max(0, x1 + w // 2 + 1))
        free[rows, columns] = 0
    if not free.any():
        return None
    cover = cv2.blur(segment.astype(np.float32), size, borderType=cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, 3)
    merit = (cover + distance / distance.max()) * free
    # Of many equally good places (a wide rectangle has a line of them), the one in the middle.
    y, x = np.nonzero(merit > merit.max() - 0.02)
    middle = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
    return int(x[middle]), int(y[middle])


def draw_texts(
    image: np.ndarray, texts: Sequence[tuple[str, Box]], font: ImageFont.FreeTypeFont
) -> np.ndarray:
    """Write white texts, each on a darkened box of the size that text_size gives."""
    image = image.copy()
    for _, (x0, y0, x1, y1) in texts:
        image[y0:y1, x0:x1] = image[y0:y1, x0:x1] * BOX_BRIGHTNESS
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    for text, (x0, y0, x1, y1) in texts:
        draw.text(((x0 + x1) / 2, (y0 + y1) / 2), text, (255, 255, 255), font, anchor='mm')
    return np.array(canvas)


def text_size(text: str, font: ImageFont.FreeTypeFont) -> tuple[int, int]:
    """(width, height) in pixels of a text's box, which has a margin."""
    return int(font.getlength(text)) + 7, sum(font.getmetrics()) + 2


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which every matplotlib (hence every mmdet) brings along."""
    path = Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
    return ImageFont.truetype(str(path), size)


def _is_free(box: Box, taken: dict[int, Box]) -> bool:
    x0, y0, x1, y1 = box
    return all(x0 >= b[2] or b[0] >= x1 or y0 >= b[3] or b[1] >= y1 for b in taken.values())


def _shorten(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """The text, or as much of it as there is room for, in pixels."""
    for length in range(len(text), 0, -1):
        shown = text if length == len(text) else text[:length] + '…'
        if text_size(shown, font)[0] <= room:
            return shown
    return ''
