"""A legend: the classes of a picture with their colours."""

from collections.abc import Sequence

import numpy as np
from PIL.ImageFont import FreeTypeFont

from .colors import Color
from .labels import draw_texts, font_size, load_font, text_size

MARGIN = 8  # px


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


def _shorten(text: str, font: FreeTypeFont, room: int) -> str:
    """The text, or as much of it as there is room for, in pixels."""
    for length in range(len(text), 0, -1):
        shown = text if length == len(text) else text[:length] + '…'
        if text_size(shown, font)[0] <= room:
            return shown
    return ''
