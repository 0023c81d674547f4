"""What the HTML pages of the commands share: one file, light and dark, that needs nothing else."""

import base64
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

THUMBNAIL_WIDTH = 480  # px
JPEG_QUALITY = 80


def css(color: str | Sequence[int]) -> str:
    """An RGB colour, or what is one in CSS already."""
    return color if isinstance(color, str) else f'rgb{tuple(map(int, color))}'


def percent(share: float) -> str:
    """Such as "12.5"; a dash for nan."""
    return '–' if math.isnan(share) else f'{100 * share:.1f}'


def plural(number: int, word: str) -> str:
    """Such as "1 peak" and "2 peaks"."""
    return f'{number} {word}' if number == 1 else f'{number} {word}s'


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name('pages')),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
TEMPLATES.filters.update(
    css=css,
    percent=percent,
    plural=plural,
    points='points: {}'.format,
    anchor=lambda name: name.lower().replace(' ', '-'),
)


def fill_template(template: str, **values: object) -> str:
    """A template of ``pages/`` with these values in it, escaped where it is HTML."""
    return TEMPLATES.get_template(template).render(values)


def html_part(template: str, macro: str, *values: object) -> str:
    """What one macro of a template gives."""
    return str(getattr(TEMPLATES.get_template(template).module, macro)(*values))


def thumbnail(picture: np.ndarray, new_width: int = THUMBNAIL_WIDTH) -> str:
    """A small JPEG of an RGB picture as an address that holds all of it."""
    height, width = picture.shape[:2]
    size = (new_width, max(1, round(height * new_width / width)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg.tobytes()).decode()
