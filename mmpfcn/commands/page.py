"""What the HTML pages of these tools share: one file, light and dark, that needs nothing else."""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

THUMBNAIL_WIDTH = 480  # px
JPEG_QUALITY = 80

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --page: #fff; --soft: #5b6470; --line: #d8dde3;
  --card: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaef; --page: #14171b; --soft: #9aa4b0;
  --line: #333a43; --card: #1d2127 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1500px; padding: 1rem; background: var(--page);
  color: var(--text); font: 16px/1.45 system-ui, sans-serif }
h1 { font-size: 1.35rem; margin: 0 0 .3rem; overflow-wrap: anywhere }
p { color: var(--soft); margin: 0 0 1rem }
details { margin: 0 0 1rem } summary { cursor: pointer }
.chip { width: 1em; height: 1em; border: 1px solid var(--line); border-radius: 3px }
figure { margin: 0; padding: .5rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px }
img { display: block; width: 100%; height: auto; border-radius: 3px }
figcaption { margin-top: .4rem; font-size: .85rem; color: var(--soft); overflow-wrap: anywhere }
figcaption b { color: var(--text); font-weight: 600 }
""".strip()


def html_page(title: str, style: str, body: str) -> str:
    """A complete page.

    Args:
        title: of the window.
        style: CSS beside :data:`STYLE`.
        body: HTML.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE}
{style.strip()}
</style>
</head>
<body>
{body.strip()}
</body>
</html>
"""


def chip(color: Sequence[int]) -> str:
    """A small square of an RGB colour."""
    return f'<span class="chip" style="background: rgb{tuple(map(int, color))}"></span>'


def thumbnail(picture: np.ndarray, new_width: int = THUMBNAIL_WIDTH) -> str:
    """A small JPEG of an RGB picture as an address that holds all of it."""
    height, width = picture.shape[:2]
    size = (new_width, max(1, round(height * new_width / width)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg.tobytes()).decode()
